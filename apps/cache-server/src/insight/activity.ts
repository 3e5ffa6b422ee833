import type { Database, Transaction } from "../database/database.ts";
import { hourKey } from "../database/keys.ts";

/** What is counted, hour by hour. */
export interface Counts {
  /** Records asked for that were there, and that were not. */
  readonly hits: number;
  readonly misses: number;
  /** Records stored, and refused since another came first. */
  readonly stored: number;
  readonly conflicts: number;
  /** Of blobs. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** As builds report; the time in ms. */
  readonly bytesSaved: number;
  readonly timeSaved: number;
  readonly builds: number;
}

/** What happened within an hour that begins at `hour`, RFC 3339. */
export interface HourCounts extends Counts {
  readonly hour: string;
}

/** Counts what happens, and keeps it by the hour. */
export interface Activity {
  count(change: Partial<Counts>): void;
  /** The latest `limit` hours in which something happened, oldest first. */
  hours(limit: number): Promise<readonly HourCounts[]>;
  totals(): Counts;
  /** Writes down what was counted. */
  flush(): Promise<void>;
}

const NOTHING: Counts = {
  hits: 0,
  misses: 0,
  stored: 0,
  conflicts: 0,
  bytesIn: 0,
  bytesOut: 0,
  bytesSaved: 0,
  timeSaved: 0,
  builds: 0,
};
const NAMES = Object.keys(NOTHING) as readonly (keyof Counts)[];
/** The row with the sums of all hours, behind all hours in the order of keys. */
const ALL = hourKey("total");

/** What these rows hold is counted on. */
export function createActivity(database: Database): Activity {
  const pending = new Map<string, Record<keyof Counts, number>>();
  const flush = async (): Promise<void> => {
    if (pending.size === 0) return;
    const counted = [...pending];
    pending.clear();
    await database.change((rows) => {
      for (const [hour, counts] of counted) {
        addCounts(rows, hourKey(hour), counts);
        addCounts(rows, ALL, counts);
      }
    });
  };
  return {
    count(change) {
      const hour = `${new Date().toISOString().slice(0, 13)}:00:00Z`;
      let counts = pending.get(hour);
      if (counts === undefined) pending.set(hour, (counts = { ...NOTHING }));
      for (const name of NAMES) counts[name] += change[name] ?? 0;
    },
    async hours(limit) {
      await flush();
      const hours: HourCounts[] = [];
      for await (const [key, text] of database.list("hour/", { reverse: true })) {
        if (key === ALL) continue;
        hours.unshift({ hour: key.slice("hour/".length), ...(JSON.parse(text) as Counts) });
        if (hours.length === limit) break;
      }
      return hours;
    },
    totals: () => readCounts(database.get(ALL)),
    flush,
  };
}

function addCounts(rows: Transaction, key: string, counts: Counts): void {
  const before = readCounts(rows.get(key));
  rows.put(key, JSON.stringify(Object.fromEntries(NAMES.map((name) => [name, before[name] + counts[name]]))));
}

function readCounts(text: string | undefined): Counts {
  return text === undefined ? NOTHING : (JSON.parse(text) as Counts);
}
