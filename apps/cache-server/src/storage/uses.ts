import type { Database, Transaction } from "../database/database.ts";
import { useKey, usedKey } from "../database/keys.ts";

/** When blobs and records were last used, written down in lots. */
export interface Uses {
  /** Remembers that `row`, the key of a blob or record, is used now. */
  touch(row: string): void;
  /** Writes down what was touched. */
  flush(): Promise<void>;
}

/** Rows whose last use is remembered without a look into the database. */
const REMEMBERED = 100_000;

/** `granularity` in ms: a use within it of the one written down is not written again. */
export function createUses(database: Database, granularity: number): Uses {
  const written = new Map<string, number>();
  const pending = new Map<string, number>();
  return {
    touch(row) {
      const now = Date.now();
      if (now - (written.get(row) ?? Number.NEGATIVE_INFINITY) < granularity) return;
      if (written.size >= REMEMBERED) written.clear();
      written.set(row, now);
      pending.set(row, now);
    },
    async flush() {
      if (pending.size === 0) return;
      const touched = new Map(pending);
      pending.clear();
      await database.change((rows) => {
        for (const [row, now] of touched) moveUse(rows, row, { now, granularity });
      });
    },
  };
}

function moveUse(
  rows: Transaction,
  row: string,
  { now, granularity }: { readonly now: number; readonly granularity: number },
): void {
  const used = Number(rows.get(usedKey(row)) ?? Number.NaN);
  // Gone meanwhile, or used lately; clocks that went back leave it where it is.
  if (!(now - used >= granularity)) return;
  dropUse(rows, row);
  addUse(rows, row, now);
}

/** Writes down that `row` was used at `now`, for the first time. */
export function addUse(rows: Transaction, row: string, now: number): void {
  rows.put(usedKey(row), String(now));
  rows.put(useKey(now, row), "");
}

/** Forgets when `row` was used. */
export function dropUse(rows: Transaction, row: string): void {
  const used = rows.get(usedKey(row));
  if (used === undefined) return;
  rows.delete(usedKey(row));
  rows.delete(useKey(Number(used), row));
}
