import { LayerError } from "./errors.ts";

/** One record of an extended header: POSIX.1-2024, pax, "pax Extended Header". Values are bytes, for xattrs are. */
export interface PaxRecord {
  readonly key: string;
  readonly value: Uint8Array;
}

/** A record to be written; text becomes UTF-8. */
export interface NewPaxRecord {
  readonly key: string;
  readonly value: Uint8Array | string;
}

/** The body of an extended header: `length key=value\n` for each record, sorted by key. */
export function encodePax(records: readonly NewPaxRecord[]): Buffer {
  const [first, ...others] = records;
  // Most have one, for the time.
  if (first !== undefined && others.length === 0 && typeof first.value === "string") return encodeRecord(first);
  return Buffer.concat(records.toSorted((a, b) => (a.key < b.key ? -1 : 1)).map(encodeRecord));
}

/**
 * The records of an extended header's body, in its order.
 * @throws LayerError `ARCHIVE_CORRUPT` where the body is no sequence of records.
 */
export function decodePax(body: Buffer): readonly PaxRecord[] {
  const records: PaxRecord[] = [];
  let at = 0;
  while (at < body.length && body[at] !== 0) {
    const space = body.indexOf(0x20, at);
    const length = space < 0 ? 0 : decimal(body.toString("latin1", at, Math.min(space, at + 12)));
    const equals = body.indexOf(0x3d, space + 1);
    const end = at + length;
    if (length === 0 || end > body.length || equals < 0 || equals >= end || body[end - 1] !== 0x0a) throw damaged();
    records.push({ key: body.toString("utf8", space + 1, equals), value: body.subarray(equals + 1, end - 1) });
    at = end;
  }
  return records;
}

/** Nanoseconds since 1970 as a decimal number of seconds, without needless digits. */
export function formatPaxTime(time: bigint): string {
  const magnitude = time < 0n ? -time : time;
  const fraction = (magnitude % 1_000_000_000n).toString().padStart(9, "0").replace(/0+$/, "");
  const seconds = `${time < 0n ? "-" : ""}${magnitude / 1_000_000_000n}`;
  return fraction === "" ? seconds : `${seconds}.${fraction}`;
}

/**
 * Nanoseconds since 1970 of a decimal number of seconds; digits beyond nanoseconds are dropped.
 * @throws LayerError `ARCHIVE_CORRUPT` where the text is no such number.
 */
export function parsePaxTime(text: string): bigint {
  const match = /^(-?)(\d{1,15})(?:\.(\d*))?$/.exec(text);
  if (match === null) throw damaged();
  const fraction = (match[3] ?? "").slice(0, 9).padEnd(9, "0");
  const magnitude = BigInt(match[2] ?? "0") * 1_000_000_000n + BigInt(fraction);
  return match[1] === "-" ? -magnitude : magnitude;
}

function encodeRecord({ key, value }: NewPaxRecord): Buffer {
  if (key.includes("=")) {
    throw new LayerError("ENTRY_UNSUPPORTED", `Cannot store attribute "${key}": its name holds "="`);
  }
  const content = Buffer.byteLength(key) + Buffer.byteLength(value) + 3;
  let length = content + String(content).length;
  if (content + String(length).length !== length) length++;
  return typeof value === "string"
    ? Buffer.from(`${length} ${key}=${value}\n`)
    : Buffer.concat([Buffer.from(`${length} ${key}=`), value, Buffer.from("\n")]);
}

function decimal(text: string): number {
  return /^\d+$/.test(text) ? Number(text) : 0;
}

function damaged(): LayerError {
  return new LayerError("ARCHIVE_CORRUPT", "Cannot read archive: a pax extended header is damaged");
}
