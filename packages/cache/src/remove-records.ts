import type { Digest } from "@varve/oci";
import type { RecordLayer } from "./record.ts";
import type { Database, SharedLevel } from "./shared-level.ts";

/** Entries that are read before others get a turn. */
const PAGE = 1000;

/** Removes records, and layers by their content digest, that name a blob of `gone`. */
export async function removeRecords(level: SharedLevel, gone: ReadonlySet<Digest>): Promise<void> {
  if (gone.size === 0) return;
  for (const prefix of ["record/1/", "layer/1/"]) {
    let after: string | undefined = prefix;
    while (after !== undefined) {
      const from: string = after;
      after = await level.run((database) => removePage(database, { prefix, from, gone }));
    }
  }
}

interface Page {
  readonly prefix: string;
  readonly from: string;
  readonly gone: ReadonlySet<Digest>;
}

/** The last key that was read; undefined at the end. */
async function removePage(database: Database, { prefix, from, gone }: Page): Promise<string | undefined> {
  const entries = await database.iterator({ gt: from, lt: `${prefix}~`, limit: PAGE }).all();
  const dead = entries.filter(([, value]) => namesGone(value, gone)).map(([key]) => key);
  if (dead.length > 0) await database.batch(dead.map((key) => ({ type: "del", key })));
  return entries.length < PAGE ? undefined : entries.at(-1)?.[0];
}

/** A value that can't be read is as good as gone. */
function namesGone(value: Uint8Array, gone: ReadonlySet<Digest>): boolean {
  try {
    const parsed = JSON.parse(Buffer.from(value).toString("utf8")) as Partial<RecordLayer> & { layer?: RecordLayer };
    const layer = parsed.layer ?? parsed;
    return [layer.descriptor, layer.index].some((blob) => blob !== undefined && gone.has(blob.digest));
  } catch {
    return true;
  }
}
