import { parseTotals } from "../database/totals.ts";
import type { Database } from "../database/database.ts";
import { TOTALS } from "../database/keys.ts";
import { ServerError } from "../errors.ts";
import type { BlobFiles } from "./blob-files.ts";

/** Keeps what is stored and what is being received below the budget. */
export interface Room {
  /**
   * Sets `bytes` aside, for which older blobs may have to leave; the function gives them back, once.
   * @throws ServerError `STORAGE_FULL` where nothing more may leave; `TOO_LARGE` for more than the budget.
   */
  reserve(bytes: number): Promise<() => void>;
}

export interface RoomOptions {
  /** Bytes of blobs, records and uploads under way. */
  readonly budget: number;
  /** Bytes that the disk keeps free. */
  readonly minFree: number;
  /** Removes what was used least recently, `bytes` of it where there are so many. */
  readonly evict: (bytes: number) => Promise<void>;
}

/** Eviction goes on to this share of the budget, so that it does not start at every upload. */
const LOW_MARK = 0.9;

/** Room in which nothing is reserved. */
export function createRoom(database: Database, files: BlobFiles, { budget, minFree, evict }: RoomOptions): Room {
  let reserved = 0;
  const stored = (): number => parseTotals(database.get(TOTALS)).bytes;
  const lacks = async (mark: number): Promise<number> => {
    const excess = stored() + reserved - budget;
    return Math.max(reserved + minFree - (await files.free()), excess > 0 ? stored() + reserved - budget * mark : 0);
  };
  const makeRoom = async (): Promise<boolean> => {
    const lack = await lacks(LOW_MARK);
    if (lack <= 0) return true;
    await evict(lack);
    return (await lacks(1)) <= 0;
  };
  return {
    async reserve(bytes) {
      if (bytes > budget)
        throw new ServerError("TOO_LARGE", `Cannot store ${bytes} bytes: the server's budget is ${budget}`);
      reserved += bytes;
      let held = true;
      const release = (): void => {
        if (held) reserved -= bytes;
        held = false;
      };
      const hasRoom = await makeRoom().catch((error: unknown) => {
        release();
        throw error;
      });
      if (hasRoom) return release;
      release();
      throw new ServerError("STORAGE_FULL", `Cannot store ${bytes} bytes: the server is full and all it has is in use`);
    },
  };
}
