import { type Digest, hexOf, type IngestStore } from "@varve/oci";
import { checkBlobs, compareRecords, hasBlobs } from "./memory-cache.ts";
import type { CacheIndex } from "./ports.ts";
import { createRecalls } from "./recalls.ts";
import type { RecentRecords } from "./recent-records.ts";
import type { CacheKey, CacheRecord, RecordLayer } from "./record.ts";
import type { Database, SharedLevel } from "./shared-level.ts";

const RECORD = "record/1/";
const LAYER = "layer/1/";

/** An index that keeps what builds use where the next ones find it sooner. */
export interface LocalIndex extends CacheIndex {
  /** See `LocalStore`. */
  recall(name: Digest): () => void;
}

export interface LocalIndexOptions {
  readonly content: IngestStore;
  readonly recent: RecentRecords;
}

/** Records in LevelDB: `record/1/<key>` holds the record, `layer/1/<content digest>` a layer, both as JSON. */
export function createLocalIndex(level: SharedLevel, { content, recent }: LocalIndexOptions): LocalIndex {
  const known = new Map<CacheKey, CacheRecord>();
  const recalls = createRecalls(recent, known);
  const whole = async (record: CacheRecord | undefined): Promise<CacheRecord | undefined> =>
    record?.layer === undefined || (await hasBlobs(record.layer, content)) ? record : undefined;
  const lookUp = async (keys: readonly CacheKey[]): Promise<ReadonlyMap<CacheKey, CacheRecord | undefined>> => {
    if (keys.length === 0) return new Map();
    const found = await level.run((database) => {
      recalls.look();
      return database.getMany(keys.map((key) => RECORD + hexOf(key)));
    });
    const records = await Promise.all(keys.map((key, position) => whole(parseRecord(key, found[position]))));
    return new Map(keys.map((key, position) => [key, records[position]]));
  };
  return {
    recall: (name) => recalls.recall(name),
    async getMany(keys) {
      const atHand = await Promise.all(keys.map((key) => whole(known.get(key))));
      const read = await lookUp(keys.filter((_, position) => atHand[position] === undefined));
      return keys.map((key, position) => {
        const record = atHand[position] ?? read.get(key);
        if (record === undefined) known.delete(key);
        else recalls.use(record);
        return record;
      });
    },
    async put(record, options) {
      await checkBlobs(record, content);
      const first = options?.replace === true ? undefined : await this.getMany([record.key]);
      const existing = first?.[0];
      if (existing !== undefined) return compareRecords(existing, record);
      await level.run((database) => {
        recalls.look();
        if (options?.replace === true) recent.outdate();
        return write(database, record);
      });
      recalls.use(record);
      return { outcome: "stored" };
    },
    async findLayer(contentDigest) {
      const value = await level.run((database) => database.get(LAYER + hexOf(contentDigest)));
      const layer = value === undefined ? undefined : (parseJson(value) as RecordLayer | undefined);
      if (layer?.contentDigest !== contentDigest) return undefined;
      return (await hasBlobs(layer, content)) ? layer : undefined;
    },
  };
}

/** A record and, by its content digest, its layer, in one step. */
async function write(database: Database, record: CacheRecord): Promise<void> {
  const batch = database.batch().put(RECORD + hexOf(record.key), toBytes(record));
  if (record.layer !== undefined) batch.put(LAYER + hexOf(record.layer.contentDigest), toBytes(record.layer));
  await batch.write();
}

function parseRecord(key: CacheKey, value: Uint8Array | undefined): CacheRecord | undefined {
  const record = value === undefined ? undefined : (parseJson(value) as CacheRecord | undefined);
  return record?.key === key ? record : undefined;
}

/** Undefined for what is no JSON: a damaged value is a miss. */
function parseJson(value: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(value).toString("utf8"));
  } catch {
    return undefined;
  }
}

function toBytes(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}
