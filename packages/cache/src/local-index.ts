import { hexOf, type IngestStore } from "@varve/oci";
import { checkBlobs, compareRecords, hasBlobs } from "./memory-cache.ts";
import type { CacheIndex } from "./ports.ts";
import type { CacheKey, CacheRecord, RecordLayer } from "./record.ts";
import type { Database, SharedLevel } from "./shared-level.ts";

const RECORD = "record/1/";
const LAYER = "layer/1/";

/** Records in LevelDB: `record/1/<key>` holds the record, `layer/1/<content digest>` a layer, both as JSON. */
export function createLocalIndex(level: SharedLevel, content: IngestStore): CacheIndex {
  const recent = new Map<CacheKey, CacheRecord>();
  return {
    async getMany(keys) {
      const unknown = keys.filter((key) => !recent.has(key));
      const found =
        unknown.length === 0
          ? []
          : await level.run((database) => database.getMany(unknown.map((key) => RECORD + hexOf(key))));
      const read = new Map(unknown.map((key, position) => [key, parseRecord(key, found[position])]));
      const records = keys.map((key) => recent.get(key) ?? read.get(key));
      return Promise.all(
        records.map(async (record) => {
          if (record === undefined) return undefined;
          if (record.layer !== undefined && !(await hasBlobs(record.layer, content)))
            return void recent.delete(record.key);
          recent.set(record.key, record);
          return record;
        }),
      );
    },
    async put(record, options) {
      await checkBlobs(record, content);
      const first = options?.replace === true ? undefined : await this.getMany([record.key]);
      const existing = first?.[0];
      if (existing !== undefined) return compareRecords(existing, record);
      await level.run((database) => write(database, record));
      recent.set(record.key, record);
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
