import type { Entry, EntryType } from "./entry.ts";
import { LayerError } from "./errors.ts";
import { encodePax, formatPaxTime, type PaxRecord } from "./pax.ts";

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

interface Names {
  readonly name: string;
  readonly prefix: string;
  readonly linkname: string;
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
 * @throws LayerError `ENTRY_UNSUPPORTED` where the name reads as a whiteout.
 */
export function encodeHeader(entry: Entry): Buffer {
  const path = archivePath(entry);
  const linkname = entry.linkname ?? "";
  const split = splitPath(path);
  const records = paxRecords(entry, path, split === undefined);
  const names = split ?? { name: asciiPrefix(path), prefix: "", linkname };
  const fits = { ...names, linkname: asciiPrefix(linkname) };
  if (records.length === 0) return ustarHeader(entry, fits);
  const body = encodePax(records);
  const extension: Entry = { path: "", type: "file", mode: 0o644, uid: 0, gid: 0, size: body.length, mtime: 0n };
  const header = ustarHeader(extension, { name: "PaxHeader", prefix: "", linkname: "" }, "x");
  return Buffer.concat([header, body, Buffer.alloc(paddedLength(body.length) - body.length), ustarHeader(entry, fits)]);
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

function splitPath(path: string): Names | undefined {
  if (!plain.test(path)) return undefined;
  if (path.length <= 100) return { name: path, prefix: "", linkname: "" };
  const slash = path.indexOf("/", path.length - 101);
  if (slash < 1 || slash > 155 || slash === path.length - 1) return undefined;
  return { name: path.slice(slash + 1), prefix: path.slice(0, slash), linkname: "" };
}

function paxRecords(entry: Entry, path: string, isPathLong: boolean): readonly PaxRecord[] {
  const linkname = entry.linkname ?? "";
  const texts: [string, string][] = [];
  if (isPathLong) texts.push(["path", path]);
  if (linkname.length > 100 || !plain.test(linkname)) texts.push(["linkpath", linkname]);
  if (bodyLength(entry) > largestOctal) texts.push(["size", String(entry.size)]);
  if (entry.uid > largestId) texts.push(["uid", String(entry.uid)]);
  if (entry.gid > largestId) texts.push(["gid", String(entry.gid)]);
  if (!isPlainTime(entry.mtime)) texts.push(["mtime", formatPaxTime(entry.mtime)]);
  const records = texts.map(([key, value]) => ({ key, value: Buffer.from(value) }));
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

function ustarHeader(entry: Entry, names: Names, flag: string = typeFlags[entry.type]): Buffer {
  const block = Buffer.alloc(blockLength);
  block.write(names.name, 0, "latin1");
  writeOctal(block, 100, [entry.mode & 0o7777, 8]);
  writeOctal(block, 108, [entry.uid, 8]);
  writeOctal(block, 116, [entry.gid, 8]);
  writeOctal(block, 124, [bodyLength(entry), 12]);
  writeOctal(block, 136, [Number(entry.mtime / second), 12]);
  block.write(flag, 156, "latin1");
  block.write(names.linkname, 157, "latin1");
  block.write("ustar\u000000", 257, "latin1");
  writeOctal(block, 329, [entry.device?.major ?? 0, 8]);
  writeOctal(block, 337, [entry.device?.minor ?? 0, 8]);
  block.write(names.prefix, 345, "latin1");
  writeChecksum(block);
  return block;
}

/** Zero where the number does not fit: a pax record then says what it is. */
function writeOctal(block: Buffer, at: number, [value, width]: readonly [number, number]): void {
  const digits = value.toString(8);
  const fits = value >= 0 && digits.length < width;
  block.write((fits ? digits : "0").padStart(width - 1, "0"), at, "latin1");
}

function writeChecksum(block: Buffer): void {
  let sum = 8 * 0x20;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
}
