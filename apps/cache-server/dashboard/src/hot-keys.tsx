import type { JSX } from "preact";
import { formatBytes, formatCount, formatTime } from "./format.js";
import type { HotKey } from "./stats.js";

const SHOWN = 12;

/** The records that were asked for most. */
export function HotKeys({ keys }: { readonly keys: readonly HotKey[] }): JSX.Element {
  return (
    <section id="hot-keys">
      <div class="heading">
        <h2>Hot keys</h2>
        <span class="note">since the server's start</span>
      </div>
      {keys.length === 0 ? <p class="empty">No record was asked for yet.</p> : null}
      <table>
        <tbody>
          {keys.slice(0, SHOWN).map(({ key, name, lane, hits, duration, bytes }) => (
            <tr key={`${lane} ${key}`} title={key}>
              <td>
                <code>{name}</code>
                <div class="note">
                  {lane}, {formatTime(duration)} to make, {formatBytes(bytes)}
                </div>
              </td>
              <td class="number">{formatCount(hits)} hits</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
