import {
  type ContentSource,
  type Descriptor,
  type Digest,
  type Encoded,
  encodeJson,
  encodeManifest,
  isManifestMediaType,
  type Manifest,
  MEDIA_TYPES,
  parseManifest,
  readContent,
} from "@varve/oci";
import type { CacheRecord } from "../record.ts";
import { parseRecord } from "../remote/parse-protocol.ts";

/** Of a manifest that holds records: docs/cache-format.md, "Records in a registry". */
const ARTIFACT_TYPE = "application/vnd.varve.cache.v1";
const RECORDS_TYPE = "application/vnd.varve.cache.records.v1+json";
/** Records of one set; the ones that were used longest ago go first. */
const MOST_RECORDS = 2_000;
const MAX_RECORDS_BYTES = 64 * 1024 * 1024;

/** Records as an artifact: its manifest names all blobs of all records, so that no registry drops them. */
export interface RecordSet {
  /** The last used first. */
  readonly records: readonly CacheRecord[];
  /** Of the manifest; undefined for a set that is nowhere yet. */
  readonly descriptor: Descriptor | undefined;
}

/** The set that `descriptor` names; undefined where it is something else: another builder's cache, an image. */
export async function readRecordSet(source: ContentSource, descriptor: Descriptor): Promise<RecordSet | undefined> {
  if (!isManifestMediaType(descriptor.mediaType)) return undefined;
  const { config } = parseManifest(await readContent(source, descriptor));
  if (config.mediaType !== RECORDS_TYPE) return undefined;
  const bytes = await readContent(source, config, { limit: MAX_RECORDS_BYTES });
  const { records } = JSON.parse(bytes.toString("utf8")) as { readonly records: readonly unknown[] };
  return { records: records.map((record, position) => parseRecord(record, `records[${position}]`)), descriptor };
}

/** Manifest and config of a set, to be pushed after the blobs that they name. */
export function encodeRecordSet(records: readonly CacheRecord[]): {
  readonly manifest: Encoded;
  readonly config: Encoded;
} {
  const config = encodeJson({ records }, RECORDS_TYPE);
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.manifest,
    artifactType: ARTIFACT_TYPE,
    config: config.descriptor,
    layers: blobsOf(records),
  };
  return { manifest: encodeManifest(manifest), config };
}

/** `records`, and behind them those of `before` that have other keys; of all the first 2,000. */
export function mergeRecords(records: readonly CacheRecord[], before: readonly CacheRecord[]): readonly CacheRecord[] {
  const known = new Map(before.map((record) => [record.key, record]));
  const first = records.map((record) => known.get(record.key) ?? record);
  const keys = new Set(records.map(({ key }) => key));
  return [...first, ...before.filter(({ key }) => !keys.has(key))].slice(0, MOST_RECORDS);
}

/** All blobs that the records name, each once, in a fixed order. */
export function blobsOf(records: readonly CacheRecord[]): readonly Descriptor[] {
  const blobs = new Map<Digest, Descriptor>();
  for (const { layer } of records) {
    if (layer === undefined) continue;
    for (const { mediaType, digest, size } of [layer.descriptor, layer.index])
      blobs.set(digest, { mediaType, digest, size });
  }
  return [...blobs.values()].toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
}
