import type { JSX } from "preact";
import { formatBytes, formatCount } from "./format.js";
import type { LaneSize } from "./stats.js";

/** Lanes that are shown; the largest come first. */
const SHOWN = 12;

/** What each lane holds. A blob that two lanes hold counts in both. */
export function Lanes({ lanes }: { readonly lanes: readonly LaneSize[] }): JSX.Element {
  const largest = Math.max(1, ...lanes.map(({ bytes }) => bytes));
  return (
    <section id="lanes">
      <div class="heading">
        <h2>Size by lane</h2>
        {lanes.length > SHOWN ? (
          <span class="note">
            the largest {SHOWN} of {lanes.length}
          </span>
        ) : null}
      </div>
      {lanes.length === 0 ? <p class="empty">No lane holds anything yet.</p> : null}
      <table>
        <tbody>
          {lanes.slice(0, SHOWN).map(({ lane, bytes, records }) => (
            <tr key={lane}>
              <td>
                {lane}
                <span class="bar">
                  <i style={{ width: `${(bytes / largest) * 100}%` }} />
                </span>
              </td>
              <td class="number">{formatBytes(bytes)}</td>
              <td class="number">
                {formatCount(records)} {records === 1 ? "record" : "records"}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
