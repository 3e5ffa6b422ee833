import { createMemoryStore, type Descriptor, type Digest, type IngestStore } from "@varve/oci";
import { CacheError } from "./errors.ts";
import type { Cache, CacheIndex, Memo } from "./ports.ts";
import type { CacheKey, CacheRecord, RecordLayer } from "./record.ts";

/** A cache that lives as long as the process. */
export function createMemoryCache(): Cache {
  const content = createMemoryStore();
  const records = new Map<CacheKey, CacheRecord>();
  const layers = new Map<Digest, RecordLayer>();
  const index: CacheIndex = {
    getMany: (keys) => Promise.all(keys.map((key) => whole(records.get(key), content))),
    async put(record, options) {
      await checkBlobs(record, content);
      const existing = await whole(records.get(record.key), content);
      if (existing !== undefined && options?.replace !== true) return compareRecords(existing, record);
      records.set(record.key, record);
      if (record.layer !== undefined && !layers.has(record.layer.contentDigest))
        layers.set(record.layer.contentDigest, record.layer);
      return { outcome: "stored" };
    },
    async findLayer(contentDigest) {
      const layer = layers.get(contentDigest);
      return layer !== undefined && (await hasBlobs(layer, content)) ? layer : undefined;
    },
  };
  return { index, content };
}

/** A memo that lives as long as the process. */
export function createMemoryMemo(): Memo {
  const values = new Map<string, Uint8Array>();
  return {
    get: async (namespace, key) => values.get(`${namespace}\n${key}`),
    async put(namespace, key, value) {
      values.set(`${namespace}\n${key}`, value);
    },
  };
}

async function whole(record: CacheRecord | undefined, content: IngestStore): Promise<CacheRecord | undefined> {
  if (record?.layer === undefined || (await hasBlobs(record.layer, content))) return record;
  return undefined;
}

/** True where both blobs of a layer, the layer itself and its index, are in the store. */
export async function hasBlobs(layer: RecordLayer, content: IngestStore): Promise<boolean> {
  const found = await Promise.all([layer.descriptor, layer.index].map((descriptor) => content.exists(descriptor)));
  return found.every(Boolean);
}

/**
 * Refuses a record whose blobs are not all in `content`.
 * @throws CacheError `RECORD_INVALID`.
 */
export async function checkBlobs({ key, layer }: CacheRecord, content: IngestStore): Promise<void> {
  if (layer === undefined) return;
  const named: readonly Descriptor[] = [layer.descriptor, layer.index];
  for (const descriptor of named) {
    if (await content.exists(descriptor)) continue;
    throw new CacheError(
      "RECORD_INVALID",
      `Cannot store record "${key}": blob "${descriptor.digest}" is not in the store; wanted before the record`,
    );
  }
}

/** What a second write of a key comes to. */
export function compareRecords(
  existing: CacheRecord,
  record: CacheRecord,
): { readonly outcome: "same" } | { readonly outcome: "conflict"; readonly existing: CacheRecord } {
  return existing.layer?.diffId === record.layer?.diffId ? { outcome: "same" } : { outcome: "conflict", existing };
}
