import type { Entry, EntryType } from "./entry.ts";
import { LayerError } from "./errors.ts";
import { encodePax, formatPaxTime, type NewPaxRecord } from "./pax.ts";

/** Bytes of a tar block. */
export const blockLength = 512;

const largestId = 0o7777777;
const largestOctal = 0o77777777777;
const second = 1_000_000_000n;
const plain = /^[\x20-\x7e]*$/;
const typeFlags: Readonly<Record<EntryType, string>> = {
  file: "0",
  hardlink: "1",
  symlink: "2",
  "char-device": "3",
  "block-device": "4",
  directory: "5",
  fifo: "6",
  whiteout: "0",
  opaque: "0",
};

/** A path as ustar holds it. */
interface SplitPath {
  readonly name: string;
  readonly prefix: string;
}

interface UstarNames extends SplitPath {
  readonly linkname: string;
  /** Default: that of the entry's type. */
  readonly flag?: string;
}

/** Bytes that `length` bytes of a file take in a tar: whole blocks. */
export function paddedLength(length: number): number {
  return Math.ceil(length / blockLength) * blockLength;
}

/** Bytes of an entry that follow its header, padding left out. */
export function bodyLength(entry: Entry): number {
  return entry.type === "file" ? entry.size : 0;
}

/**
 * The blocks that stand before an entry's bytes in a tar: a pax extended header where ustar can't hold the entry
 * (POSIX.1-2024, pax, "ustar Interchange Format"), and its header. Ids are numeric; no names, no atime, no ctime.
 * The buffer is the next call's, too.
 * @throws LayerError `ENTRY_UNSUPPORTED` where the name reads as a whiteout.
 */
export function encodeHeader(entry: Entry): Buffer {
  const path = archivePath(entry);
  const linkname = entry.linkname ?? "";
  const split = splitPath(path);
  const records = paxRecords(entry, path, split);
  const names = { ...(split ?? { name: asciiPrefix(path), prefix: "" }), linkname: asciiPrefix(linkname) };
  const length = records.length === 0 ? 0 : writeExtension(encodePax(records));
  const block = reserve(length, blockLength);
  writeUstar(block, entry, names);
  return scratch.subarray(0, length + blockLength);
}

/** Shared by all calls: a buffer for each header of a large tree would be most of the work. */
let scratch: Buffer = Buffer.alloc(64 * blockLength);
const firstBlock = scratch.subarray(0, blockLength);

/** Zeroed room within the shared buffer. */
function reserve(at: number, length: number): Buffer {
  if (at + length > scratch.length) scratch = Buffer.concat([scratch, Buffer.alloc(2 * (at + length))]);
  return (at === 0 && length === blockLength ? firstBlock : scratch.subarray(at, at + length)).fill(0);
}

function writeExtension(body: Buffer): number {
  const padded = paddedLength(body.length);
  const blocks = reserve(0, blockLength + padded);
  blocks.set(extensionHeader(body.length));
  blocks.set(body, blockLength);
  return blockLength + padded;
}

/** By the length of what follows; of a large tree almost all are alike. */
const extensionHeaders = new Map<number, Buffer>();

function extensionHeader(size: number): Buffer {
  const known = extensionHeaders.get(size);
  if (known !== undefined) return known;
  const block = Buffer.alloc(blockLength);
  const extension: Entry = { path: "", type: "file", mode: 0o644, uid: 0, gid: 0, size, mtime: 0n };
  writeUstar(block, extension, { name: "PaxHeader", prefix: "", linkname: "", flag: "x" });
  if (extensionHeaders.size < 1000) extensionHeaders.set(size, block);
  return block;
}

/** Image spec, layer.md, "Whiteouts": the path that an entry has in the archive. */
function archivePath(entry: Entry): string {
  const { path, type } = entry;
  if (type === "directory") return path === "" ? "./" : `${path}/`;
  if (type === "opaque") return path === "" ? ".wh..wh..opq" : `${path}/.wh..wh..opq`;
  const nameAt = path.lastIndexOf("/") + 1;
  if (type === "whiteout") return `${path.slice(0, nameAt)}.wh.${path.slice(nameAt)}`;
  if (path.startsWith(".wh.", nameAt)) throw readsAsWhiteout(path);
  return path;
}

function readsAsWhiteout(path: string): LayerError {
  return new LayerError(
    "ENTRY_UNSUPPORTED",
    `Cannot take "${path}" into a layer: names that start with ".wh." mean whiteouts there`,
    { path, hint: "Rename the file or leave it out of the image" },
  );
}

function splitPath(path: string): SplitPath | undefined {
  if (!plain.test(path)) return undefined;
  if (path.length <= 100) return { name: path, prefix: "" };
  const slash = path.indexOf("/", path.length - 101);
  if (slash < 1 || slash > 155 || slash === path.length - 1) return undefined;
  return { name: path.slice(slash + 1), prefix: path.slice(0, slash) };
}

function paxRecords(entry: Entry, path: string, split: SplitPath | undefined): readonly NewPaxRecord[] {
  const linkname = entry.linkname ?? "";
  const records: NewPaxRecord[] = [];
  if (split === undefined) records.push({ key: "path", value: path });
  if (linkname.length > 100 || !plain.test(linkname)) records.push({ key: "linkpath", value: linkname });
  if (bodyLength(entry) > largestOctal) records.push({ key: "size", value: String(entry.size) });
  if (entry.uid > largestId) records.push({ key: "uid", value: String(entry.uid) });
  if (entry.gid > largestId) records.push({ key: "gid", value: String(entry.gid) });
  if (!isPlainTime(entry.mtime)) records.push({ key: "mtime", value: formatPaxTime(entry.mtime) });
  if (entry.xattrs === undefined) return records;
  const xattrs = Object.entries(entry.xattrs).map(([name, value]) => ({ key: `SCHILY.xattr.${name}`, value }));
  return [...records, ...xattrs];
}

function isPlainTime(time: bigint): boolean {
  return time === 0n || (time > 0n && time % second === 0n && time / second <= BigInt(largestOctal));
}

function asciiPrefix(text: string): string {
  return (plain.test(text) ? text : text.replaceAll(/[^\x20-\x7e]/g, "_")).slice(0, 100);
}

function writeUstar(block: Buffer, entry: Entry, names: UstarNames): void {
  block.write(names.name, 0, "latin1");
  writeOctal(block, 100, [entry.mode & 0o7777, 8]);
  writeOctal(block, 108, [entry.uid, 8]);
  writeOctal(block, 116, [entry.gid, 8]);
  writeOctal(block, 124, [bodyLength(entry), 12]);
  writeOctal(block, 136, [Number(entry.mtime / second), 12]);
  block.write(names.flag ?? typeFlags[entry.type], 156, "latin1");
  block.write(names.linkname, 157, "latin1");
  block.write("ustar\u000000", 257, "latin1");
  writeOctal(block, 329, [entry.device?.major ?? 0, 8]);
  writeOctal(block, 337, [entry.device?.minor ?? 0, 8]);
  block.write(names.prefix, 345, "latin1");
  writeChecksum(block);
}

/** Zero where the number does not fit: a pax record then says what it is. */
function writeOctal(block: Buffer, at: number, [value, width]: readonly [number, number]): void {
  const isHeld = value >= 0 && value <= (width === 8 ? largestId : largestOctal);
  let rest = isHeld ? value : 0;
  for (let digit = at + width - 2; digit >= at; digit--) {
    block[digit] = 0x30 + (rest % 8);
    rest = Math.floor(rest / 8);
  }
}

function writeChecksum(block: Buffer): void {
  let sum = 8 * 0x20;
  for (let at = 0; at < blockLength; at++) sum += block[at]!;
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
}
