/** Counts of a time. Sizes in bytes, times in milliseconds: docs/protocol.md, GET /stats. */
export interface Counts {
  readonly hits: number;
  readonly misses: number;
  readonly stored: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly bytesSaved: number;
  readonly timeSaved: number;
  readonly builds: number;
}

export interface HourCounts extends Counts {
  /** RFC 3339; the hour's begin. */
  readonly hour: string;
}

export interface LaneSize {
  readonly lane: string;
  readonly bytes: number;
  readonly blobs: number;
  readonly records: number;
}

export interface HotKey {
  readonly key: string;
  readonly hits: number;
  readonly name: string;
  readonly lane: string;
  readonly duration: number;
  readonly bytes: number;
}

/** The answer of GET /stats. */
export interface Stats {
  readonly startedAt: string;
  readonly now: string;
  readonly version: string;
  readonly storage: {
    readonly bytes: number;
    readonly budget: number;
    readonly blobs: number;
    readonly records: number;
    readonly uploads: number;
    readonly evictedBytes: number;
  };
  readonly totals: Counts;
  readonly hours: readonly HourCounts[];
  readonly lanes: readonly LaneSize[];
  readonly hotKeys: readonly HotKey[];
}

export type StepState = "hit-local" | "hit-remote" | "waited" | "ran" | "failed";

export interface ReportedStep {
  readonly name: string;
  readonly state: StepState;
  readonly duration: number;
  readonly reason?: string;
}

/** A build of GET /builds. */
export interface BuildSummary {
  readonly id: string;
  readonly project: string;
  readonly target: string;
  readonly lane: string;
  readonly principal: string;
  readonly receivedAt: string;
  readonly duration: number;
  readonly outcome: "built" | "failed" | "cancelled";
  readonly counts: Readonly<Record<StepState, number>>;
  readonly bytesSaved: number;
  readonly timeSaved: number;
}

const NAMES = ["hits", "misses", "stored", "bytesIn", "bytesOut", "bytesSaved", "timeSaved", "builds"] as const;

/** The sums of `hours` that begin at `since` (ms since 1970) or later. */
export function sumHours(hours: readonly HourCounts[], since: number): Counts {
  const counted = hours.filter(({ hour }) => Date.parse(hour) >= since);
  const sum = (name: (typeof NAMES)[number]): number => counted.reduce((total, each) => total + each[name], 0);
  return Object.fromEntries(NAMES.map((name) => [name, sum(name)])) as unknown as Counts;
}

/** The share of hits: 0 to 1; undefined where nothing was asked for. */
export function hitRate({ hits, misses }: Pick<Counts, "hits" | "misses">): number | undefined {
  return hits + misses === 0 ? undefined : hits / (hits + misses);
}
