import { type Descriptor, type Digest, isDigest } from "@varve/oci";
import { CacheError } from "../errors.ts";
import type { CacheRecord, RecordLayer } from "../record.ts";
import type { LayersResponse, MountState, RecordsResponse, SignedRecord, VerifyKey } from "./protocol.ts";

/** Most ingredients of a record, and characters of each name and value: they explain, they do not decide. */
const MAX_INGREDIENTS = 10_000;
const MAX_TEXT = 4096;

/**
 * A record that came over the wire; members that are not a record's are dropped.
 * @throws CacheError `PROTOCOL_INVALID`.
 */
export function parseRecord(value: unknown, at = "record"): CacheRecord {
  const { key, layer, ingredients, createdAt, duration, producer } = parseObject(value, at);
  return {
    key: parseDigestText(key, `${at}.key`),
    layer: layer === undefined || layer === null ? undefined : parseLayer(layer, `${at}.layer`),
    ingredients: parseIngredients(ingredients, `${at}.ingredients`),
    createdAt: parseTime(createdAt, `${at}.createdAt`),
    duration: parseNumber(duration, `${at}.duration`),
    producer: parseText(producer, `${at}.producer`),
  };
}

/**
 * A record with its signature, which is not checked here: `verifyRecord` does.
 * @throws CacheError `PROTOCOL_INVALID`.
 */
export function parseSignedRecord(value: unknown, at = "signed record"): SignedRecord {
  const { record, lane, principal, signedAt, keyId, signature } = parseObject(value, at);
  return {
    record: parseRecord(record, `${at}.record`),
    lane: parseText(lane, `${at}.lane`),
    principal: parseText(principal, `${at}.principal`),
    signedAt: parseTime(signedAt, `${at}.signedAt`),
    keyId: parseText(keyId, `${at}.keyId`),
    signature: parseText(signature, `${at}.signature`),
  };
}

/**
 * The answer to `records/lookup` and `resolve` with `count` places.
 * @throws CacheError `PROTOCOL_INVALID`.
 */
export function parseRecordsResponse(value: unknown, count: number): RecordsResponse {
  return {
    records: parsePlaces(parseObject(value, "response")["records"], { count, at: "records" }, parseSignedRecord),
  };
}

/**
 * The answer to `layers/lookup` with `count` places.
 * @throws CacheError `PROTOCOL_INVALID`.
 */
export function parseLayersResponse(value: unknown, count: number): LayersResponse {
  return { layers: parsePlaces(parseObject(value, "response")["layers"], { count, at: "layers" }, parseLayer) };
}

/**
 * The contents of a cache mount.
 * @throws CacheError `PROTOCOL_INVALID`.
 */
export function parseMountState(value: unknown, at = "mount"): MountState {
  const { layer, updatedAt } = parseObject(value, at);
  return { layer: parseLayer(layer, `${at}.layer`), updatedAt: parseTime(updatedAt, `${at}.updatedAt`) };
}

/**
 * The answer to `GET keys`.
 * @throws CacheError `PROTOCOL_INVALID`.
 */
export function parseVerifyKeys(value: unknown): readonly VerifyKey[] {
  const { keys } = parseObject(value, "response");
  return parseArray(keys, "keys").map((each, position) => {
    const at = `keys[${position}]`;
    const { keyId, publicKey, createdAt, retiredAt } = parseObject(each, at);
    return {
      keyId: parseText(keyId, `${at}.keyId`),
      publicKey: parseText(publicKey, `${at}.publicKey`),
      createdAt: parseTime(createdAt, `${at}.createdAt`),
      ...(retiredAt === undefined ? {} : { retiredAt: parseTime(retiredAt, `${at}.retiredAt`) }),
    };
  });
}

/**
 * A layer of a record.
 * @throws CacheError `PROTOCOL_INVALID`.
 */
export function parseLayer(value: unknown, at = "layer"): RecordLayer {
  const { descriptor, diffId, contentDigest, index } = parseObject(value, at);
  return {
    descriptor: parseDescriptor(descriptor, `${at}.descriptor`),
    diffId: parseDigestText(diffId, `${at}.diffId`),
    contentDigest: parseDigestText(contentDigest, `${at}.contentDigest`),
    index: parseDescriptor(index, `${at}.index`),
  };
}

function parseDescriptor(value: unknown, at: string): Descriptor {
  const { mediaType, digest, size } = parseObject(value, at);
  return {
    mediaType: parseText(mediaType, `${at}.mediaType`),
    digest: parseDigestText(digest, `${at}.digest`),
    size: parseSize(size, `${at}.size`),
  };
}

function parseIngredients(value: unknown, at: string): Readonly<Record<string, string>> {
  const pairs = Object.entries(parseObject(value, at));
  if (pairs.length > MAX_INGREDIENTS) throw invalid(at, `at most ${MAX_INGREDIENTS} members`);
  return Object.fromEntries(pairs.map(([name, text]) => [parseText(name, at), parseText(text, `${at}.${name}`)]));
}

function parsePlaces<T>(
  value: unknown,
  { count, at }: { readonly count: number; readonly at: string },
  parse: (value: unknown, at: string) => T,
): readonly (T | null)[] {
  const list = parseArray(value, at);
  if (list.length !== count) throw invalid(at, `${count} places`);
  return list.map((each, position) => (each === null ? null : parse(each, `${at}[${position}]`)));
}

function parseArray(value: unknown, at: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw invalid(at, "a list");
}

function parseObject(value: unknown, at: string): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw invalid(at, "an object");
}

function parseText(value: unknown, at: string): string {
  if (typeof value === "string" && value.length <= MAX_TEXT && value.isWellFormed()) return value;
  throw invalid(at, `a text of at most ${MAX_TEXT} characters`);
}

function parseNumber(value: unknown, at: string): number {
  if (typeof value === "number" && Number.isFinite(value) && value >= 0) return value;
  throw invalid(at, "a number that is not negative");
}

function parseSize(value: unknown, at: string): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw invalid(at, "a size in bytes");
}

function parseDigestText(value: unknown, at: string): Digest {
  if (typeof value === "string" && isDigest(value)) return value;
  throw invalid(at, "a digest");
}

/** RFC 3339 with seconds, and with or without fractions of them. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;

function parseTime(value: unknown, at: string): string {
  if (typeof value === "string" && TIME.test(value) && !Number.isNaN(Date.parse(value))) return value;
  throw invalid(at, "a time as in RFC 3339");
}

function invalid(at: string, wanted: string): CacheError {
  return new CacheError("PROTOCOL_INVALID", `Cannot read ${at}: it has another form; wanted ${wanted}`);
}
