import type { JSX } from "preact";
import { formatBytes, formatCount, formatShare, formatTime } from "./format.js";
import { hitRate, type Stats, sumHours } from "./stats.js";

interface TilesProps {
  readonly stats: Stats;
  /** ms since 1970. */
  readonly since: number;
}

/** The figures that matter most. */
export function Tiles({ stats: { hours, storage }, since }: TilesProps): JSX.Element {
  const counts = sumHours(hours, since);
  const used = storage.bytes / storage.budget;
  return (
    <div class="tiles">
      <Tile name="Hit rate" value={formatShare(hitRate(counts))}>
        {formatCount(counts.hits)} of {formatCount(counts.hits + counts.misses)} records
      </Tile>
      <Tile name="Time saved" value={formatTime(counts.timeSaved)}>
        in {formatCount(counts.builds)} builds
      </Tile>
      <Tile name="Bytes saved" value={formatBytes(counts.bytesSaved)}>
        {formatBytes(counts.bytesOut)} sent, {formatBytes(counts.bytesIn)} taken
      </Tile>
      <Tile name="Storage" value={formatBytes(storage.bytes)}>
        {formatShare(used)} of {formatBytes(storage.budget)}, {formatCount(storage.records)} records
        <span class="bar">
          <i class={used > 0.95 ? "full" : ""} style={{ width: `${Math.min(100, used * 100)}%` }} />
        </span>
      </Tile>
    </div>
  );
}

interface TileProps {
  readonly name: string;
  readonly value: string;
  readonly children: (string | JSX.Element)[];
}

function Tile({ name, value, children }: TileProps): JSX.Element {
  return (
    <section class="tile">
      <span class="note">{name}</span>
      <b>{value}</b>
      <span class="note">{children}</span>
    </section>
  );
}
