import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { ActivityChart } from "./activity-chart.js";
import { Builds } from "./builds.js";
import { formatAgo, formatTime } from "./format.js";
import { HotKeys } from "./hot-keys.js";
import { Lanes } from "./lanes.js";
import { SignIn } from "./sign-in.js";
import type { Stats } from "./stats.js";
import { ThemeButton } from "./theme-button.js";
import { Tiles } from "./tiles.js";
import { usePolled } from "./use-polled.js";

const DAY = 24 * 60 * 60 * 1000;
const RANGES = [
  { name: "24 hours", length: DAY },
  { name: "7 days", length: 7 * DAY },
  { name: "14 days", length: 14 * DAY },
];

/** The whole dashboard. */
export function Page(): JSX.Element {
  const { value: stats, error, reload } = usePolled<Stats>("/stats");
  const [length, setLength] = useState(DAY);
  if (error?.status === 401 || error?.status === 403) return <SignIn message={error.message} onToken={reload} />;
  if (stats === undefined) return <main class="empty">{error === undefined ? "Loading …" : error.message}</main>;
  const since = Date.parse(stats.now) - length;
  return (
    <>
      <header>
        <h1>varve cache</h1>
        <span class="note">
          {error === undefined
            ? `version ${stats.version}, up ${formatTime(Date.parse(stats.now) - Date.parse(stats.startedAt))}`
            : `${error.message}; as of ${formatAgo(stats.now, new Date().toISOString())}`}
        </span>
        {RANGES.map((range) => (
          <button key={range.name} aria-pressed={range.length === length} onClick={() => setLength(range.length)}>
            {range.name}
          </button>
        ))}
        <ThemeButton />
      </header>
      <main>
        <Tiles stats={stats} since={since} />
        <ActivityChart hours={stats.hours} since={since} until={Date.parse(stats.now)} />
        <Builds now={stats.now} />
        <div class="columns">
          <Lanes lanes={stats.lanes} />
          <HotKeys keys={stats.hotKeys} />
        </div>
      </main>
    </>
  );
}
