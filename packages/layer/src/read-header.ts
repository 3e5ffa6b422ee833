import { isUtf8 } from "node:buffer";
import { LayerError } from "./errors.ts";
import { parsePaxTime, type PaxRecord } from "./pax.ts";

/** A stretch of a sparse file that was stored: where it stands in the file, and how many bytes it has. */
export interface SparsePiece {
  readonly offset: number;
  readonly length: number;
}

/** What an archive says of a member, in its own words: ustar, GNU and pax put together. */
export interface TarHeader {
  /** As it is written: possibly absolute, possibly with "..". */
  readonly name: string;
  /** The type flag: "0" file, "1" hard link, "2" symlink, "3" and "4" devices, "5" directory, "6" fifo. */
  readonly flag: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of the file, holes included. */
  readonly size: number;
  /** Bytes of the body in the archive. */
  readonly storedSize: number;
  /** Nanoseconds since 1970. */
  readonly mtime: bigint;
  readonly linkname: string;
  readonly device: { readonly major: number; readonly minor: number };
  readonly xattrs: Readonly<Record<string, Uint8Array>> | undefined;
  /** Of a sparse file, in order; undefined for any other. */
  readonly sparse: readonly SparsePiece[] | undefined;
}

/** What members before it say of the next member: pax records, and GNU long names. */
export interface HeaderExtension {
  readonly records: readonly PaxRecord[];
  readonly name: string | undefined;
  readonly linkname: string | undefined;
}

const gnuMagic = "ustar  \0";
const xattrPrefix = "SCHILY.xattr.";

/** The type flag of a header block. */
export function flagOf(block: Buffer): string {
  return block[156] === 0 ? "0" : String.fromCharCode(block[156] ?? 0);
}

/** The size field of a header block: bytes of the body that follows. */
export function sizeOf(block: Buffer): number {
  return natural(block, 124, 12);
}

/** @throws LayerError `ARCHIVE_CORRUPT` where the block's checksum is wrong (as old tars computed it, too). */
export function checkBlock(block: Buffer): void {
  if (!isHeaderBlock(block)) throw corrupt("a header's checksum is wrong");
}

/** True where a block of 512 bytes has the checksum of a tar header. */
export function isHeaderBlock(block: Buffer): boolean {
  let [unsigned, signed] = [0, 0];
  for (let at = 0; at < block.length; at++) {
    const byte = at >= 148 && at < 156 ? 0x20 : (block[at] ?? 0);
    unsigned += byte;
    signed += byte > 127 ? byte - 256 : byte;
  }
  const wanted = octal(block, 148, 8);
  return wanted === unsigned || wanted === signed;
}

/** A GNU long name or link name: the body of a member "L" or "K". */
export function readLongName(body: Buffer): string {
  return text(body, 0, body.length);
}

/**
 * The member that a header block and what stood before it describe.
 * @throws LayerError `ARCHIVE_CORRUPT` where a number or record makes no sense, `ENTRY_UNSUPPORTED` where a name is not UTF-8.
 */
export function decodeHeader(block: Buffer, extension: HeaderExtension): TarHeader {
  const pax = new Map(extension.records.map(({ key, value }) => [key, value]));
  const flag = flagOf(block);
  return {
    ...namesOf(block, extension, pax),
    ...sizesOf(block, pax),
    flag: flag === "7" || flag === "S" ? "0" : flag,
    mode: field(block, 100, 8) & 0o7777,
    uid: paxNumber(pax, "uid") ?? natural(block, 108, 8),
    gid: paxNumber(pax, "gid") ?? natural(block, 116, 8),
    mtime: paxTime(pax) ?? BigInt(field(block, 136, 12)) * 1_000_000_000n,
    device: { major: device(block, 329), minor: device(block, 337) },
    xattrs: xattrsOf(extension.records),
    sparse: flag === "S" ? gnuPieces(block, 386, 4) : paxSparse(extension.records),
  };
}

type PaxValues = ReadonlyMap<string, Uint8Array>;

function namesOf(block: Buffer, extension: HeaderExtension, pax: PaxValues): Pick<TarHeader, "name" | "linkname"> {
  return {
    name: paxText(pax, "GNU.sparse.name") ?? paxText(pax, "path") ?? extension.name ?? ustarName(block),
    linkname: paxText(pax, "linkpath") ?? extension.linkname ?? text(block, 157, 100),
  };
}

/** Links, devices, directories and fifos have no body, whatever their header says. */
function sizesOf(block: Buffer, pax: PaxValues): Pick<TarHeader, "size" | "storedSize"> {
  const flag = flagOf(block);
  const storedSize = "123456".includes(flag) ? 0 : (paxNumber(pax, "size") ?? sizeOf(block));
  const sparseSize = flag === "S" ? natural(block, 483, 12) : paxNumber(pax, "GNU.sparse.size");
  return { storedSize, size: paxNumber(pax, "GNU.sparse.realsize") ?? sparseSize ?? storedSize };
}

/** True where the body of a pax member starts with a map of its pieces: GNU tar manual, "PAX Format, Version 1.0". */
export function hasSparseMap(extension: HeaderExtension): boolean {
  const major = extension.records.findLast(({ key }) => key === "GNU.sparse.major");
  return major !== undefined && Buffer.from(major.value).toString() === "1";
}

/** True where another block of pieces follows this header block or extension block of an old GNU sparse member. */
export function hasMorePieces(block: Buffer, kind: "header" | "extension"): boolean {
  return block[kind === "header" ? 482 : 504] !== 0;
}

/** The pieces in an extension block of an old GNU sparse member. */
export function readPieces(block: Buffer): readonly SparsePiece[] {
  return gnuPieces(block, 0, 21);
}

/** The pieces of pairs of decimal numbers: offset, length, offset, length. */
export function pairPieces(numbers: readonly number[]): readonly SparsePiece[] {
  const pieces: SparsePiece[] = [];
  for (let at = 0; at + 1 < numbers.length; at += 2) {
    pieces.push({ offset: numbers[at] ?? 0, length: numbers[at + 1] ?? 0 });
  }
  return pieces;
}

/** A decimal number of an archive. @throws LayerError `ARCHIVE_CORRUPT` where it is none. */
export function parseCount(digits: string): number {
  const value = /^\d{1,16}$/.test(digits) ? Number(digits) : Number.NaN;
  if (Number.isSafeInteger(value)) return value;
  throw corrupt(`"${digits.slice(0, 20)}" is no number`);
}

/** The error for an archive that makes no sense. */
export function corrupt(what: string): LayerError {
  return new LayerError("ARCHIVE_CORRUPT", `Cannot read archive: ${what}`);
}

function ustarName(block: Buffer): string {
  const name = text(block, 0, 100);
  const isPosix = block.toString("latin1", 257, 262) === "ustar" && block.toString("latin1", 257, 265) !== gnuMagic;
  const prefix = isPosix ? text(block, 345, 155) : "";
  return prefix === "" ? name : `${prefix}/${name}`;
}

function text(block: Buffer, at: number, length: number): string {
  const zero = block.indexOf(0, at);
  const bytes = block.subarray(at, zero < 0 || zero > at + length ? at + length : zero);
  if (isUtf8(bytes)) return bytes.toString();
  const shown = bytes.toString();
  throw new LayerError("ENTRY_UNSUPPORTED", `Cannot read archive: the name "${shown}" is not UTF-8`, { path: shown });
}

/** Octal text, or a big-endian number behind a set first bit, as GNU tar writes what octal can't hold. */
function field(block: Buffer, at: number, length: number): number {
  const first = block[at] ?? 0;
  if ((first & 0x80) === 0) return octal(block, at, length);
  let value = first === 0xff ? -1 : first & 0x7f;
  for (let next = at + 1; next < at + length; next++) value = value * 256 + (block[next] ?? 0);
  if (!Number.isSafeInteger(value)) throw corrupt("a number is too large");
  return value;
}

function natural(block: Buffer, at: number, length: number): number {
  const value = field(block, at, length);
  if (value < 0) throw corrupt("a size or id is negative");
  return value;
}

function octal(block: Buffer, at: number, length: number): number {
  const digits = block
    .toString("latin1", at, at + length)
    .replaceAll("\0", " ")
    .trim();
  if (digits === "") return 0;
  if (!/^[0-7]+$/.test(digits)) throw corrupt("a header's number is not octal");
  return Number.parseInt(digits, 8);
}

/** Only POSIX and GNU headers have these fields; old ones have anything there. */
function device(block: Buffer, at: number): number {
  const flag = flagOf(block);
  return flag === "3" || flag === "4" ? natural(block, at, 8) : 0;
}

function paxText(pax: PaxValues, key: string): string | undefined {
  const value = pax.get(key);
  return value === undefined ? undefined : text(Buffer.from(value), 0, value.length);
}

function paxNumber(pax: PaxValues, key: string): number | undefined {
  const value = pax.get(key);
  return value === undefined || value.length === 0 ? undefined : parseCount(Buffer.from(value).toString("latin1"));
}

function paxTime(pax: PaxValues): bigint | undefined {
  const value = pax.get("mtime");
  return value === undefined || value.length === 0 ? undefined : parsePaxTime(Buffer.from(value).toString("latin1"));
}

function xattrsOf(records: readonly PaxRecord[]): Readonly<Record<string, Uint8Array>> | undefined {
  const found = records.filter(({ key }) => key.startsWith(xattrPrefix));
  if (found.length === 0) return undefined;
  return Object.fromEntries(found.map(({ key, value }) => [key.slice(xattrPrefix.length), Uint8Array.from(value)]));
}

/** GNU tar manual, "PAX Format, Version 0.0" (a record for each number) and "0.1" (all in one). */
function paxSparse(records: readonly PaxRecord[]): readonly SparsePiece[] | undefined {
  const values = (wanted: RegExp): string[] =>
    records.filter(({ key }) => wanted.test(key)).map(({ value }) => Buffer.from(value).toString("latin1"));
  const map = values(/^GNU\.sparse\.map$/).at(-1);
  if (map !== undefined) return pairPieces(map === "" ? [] : map.split(",").map(parseCount));
  const numbers = values(/^GNU\.sparse\.(?:offset|numbytes)$/);
  return numbers.length === 0 ? undefined : pairPieces(numbers.map(parseCount));
}

function gnuPieces(block: Buffer, at: number, count: number): readonly SparsePiece[] {
  const pieces: SparsePiece[] = [];
  for (let next = at; next < at + count * 24; next += 24) {
    const piece = { offset: natural(block, next, 12), length: natural(block, next + 12, 12) };
    if (piece.length === 0 && block[next] === 0) break;
    pieces.push(piece);
  }
  return pieces;
}
