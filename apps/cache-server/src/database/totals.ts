import type { Lane } from "@varve/cache";
import type { Transaction } from "./database.ts";
import { laneKey, TOTALS } from "./keys.ts";

/** What is stored: `bytes` of blobs and records. */
export interface Totals {
  readonly bytes: number;
  readonly blobs: number;
  readonly records: number;
}

/** What a lane can read of its own: a blob counts in every lane that has a grant for it. */
export type LaneRow = Totals;

const NOTHING: Totals = { bytes: 0, blobs: 0, records: 0 };

/** The totals that `text` holds; zeros where it is undefined. */
export function parseTotals(text: string | undefined): Totals {
  return text === undefined ? NOTHING : (JSON.parse(text) as Totals);
}

/** Adds `change` to the totals of the server. */
export function changeTotals(rows: Transaction, change: Partial<Totals>): void {
  rows.put(TOTALS, JSON.stringify(add(parseTotals(rows.get(TOTALS)), change)));
}

/** Adds `change` to the totals of a lane; a lane with nothing leaves no row. */
export function changeLane(rows: Transaction, lane: Lane, change: Partial<Totals>): LaneRow {
  const totals = add(parseTotals(rows.get(laneKey(lane))), change);
  if (totals.blobs === 0 && totals.records === 0) rows.delete(laneKey(lane));
  else rows.put(laneKey(lane), JSON.stringify(totals));
  return totals;
}

function add(totals: Totals, { bytes = 0, blobs = 0, records = 0 }: Partial<Totals>): Totals {
  return { bytes: totals.bytes + bytes, blobs: totals.blobs + blobs, records: totals.records + records };
}
