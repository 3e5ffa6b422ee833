import type { Entry, EntryType } from "./entry.ts";
import { LayerError } from "./errors.ts";
import { encodePax, formatPaxTime, type NewPaxRecord } from "./pax.ts";
import { nanosecondsOf, secondsOf } from "./split-time.ts";
import {
  blankHeader,
  blockLength,
  fields,
  largestId,
  largestLong,
  writeChecksum,
  writeId,
  writeLong,
  writeShortChecksum,
} from "./ustar-block.ts";

export { blockLength } from "./ustar-block.ts";

const plain = /^[\x20-\x7e]*$/;
/** ASCII digits. */
const typeFlags: Readonly<Record<EntryType, number>> = {
  file: 0x30,
  hardlink: 0x31,
  symlink: 0x32,
  "char-device": 0x33,
  "block-device": 0x34,
  directory: 0x35,
  fifo: 0x36,
  whiteout: 0x30,
  opaque: 0x30,
};
const extensionFlag = 0x78;

/** Bytes of a tar, to which more are added. */
export interface TarBytes {
  /** All of them, and perhaps more behind them; another one after `append`. */
  readonly room: Buffer;
  /** Adds bytes, and gives where in `room` they start. */
  append(bytes: Uint8Array): number;
}

/** Bytes that `length` bytes of a file take in a tar: whole blocks. */
export function paddedLength(length: number): number {
  return Math.ceil(length / blockLength) * blockLength;
}

/** So many zeros, up to two blocks; not to be written to. Shared memory is filled byte by byte, but set as a whole. */
export function zerosOf(length: number): Uint8Array {
  return (zeros[length] ??= new Uint8Array(length));
}

/** By their number. */
const zeros: (Uint8Array | undefined)[] = [];

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
  const tar = {
    room: Buffer.alloc(0),
    append(bytes: Uint8Array) {
      const at = tar.room.length;
      tar.room = Buffer.concat([tar.room, bytes]);
      return at;
    },
  };
  appendHeader(tar, entry);
  return tar.room;
}

/** Adds the same blocks to a tar. Of most entries it leaves nothing to be collected: a large tree has many. */
export function appendHeader(tar: TarBytes, entry: Entry): void {
  const path = archivePath(entry);
  const nameAt = nameStart(path);
  const seconds = secondsOf(entry.mtime);
  const nanoseconds = nanosecondsOf(entry.mtime, seconds);
  if (nameAt < 0 || !fitsUstar(entry, seconds)) addExtension(tar, encodePax(paxRecords(entry, path, nameAt)));
  else if (nanoseconds > 0) addTime(tar, seconds, nanoseconds);
  const at = tar.append(blankHeader);
  const { room } = tar;
  writeName(room, at, path, nameAt);
  writeNumbers(room, at, entry);
  writeLong(room, at + fields.mtime, seconds);
  room[at + fields.typeflag] = typeFlags[entry.type];
  const { linkname, device } = entry;
  if (linkname !== undefined) room.write(asciiPrefix(linkname), at + fields.linkname, "latin1");
  if (device !== undefined) writeDevice(room, at, device);
  if (nameAt > 0 || linkname !== undefined || device !== undefined) writeChecksum(room, at);
  else writeShortChecksum(room, at);
}

/** Whether the header holds all of an entry whose path it holds, save the fraction of its time. */
function fitsUstar(entry: Entry, seconds: number): boolean {
  const { uid, gid, linkname, xattrs } = entry;
  if (xattrs !== undefined || uid > largestId || gid > largestId || bodyLength(entry) > largestLong) return false;
  if (linkname !== undefined && (linkname.length > 100 || !plain.test(linkname))) return false;
  return seconds >= 0 && seconds <= largestLong;
}

/** Adds an extended header with this body, if any. */
function addExtension(tar: TarBytes, body: Buffer): void {
  if (body.length === 0) return;
  tar.append(extensionHeader(body.length));
  tar.append(body);
  tar.append(zerosOf(paddedLength(body.length) - body.length));
}

/** By the length of what follows. */
const extensionHeaders = new Map<number, Buffer>();

function extensionHeader(size: number): Buffer {
  const known = extensionHeaders.get(size);
  if (known !== undefined) return known;
  const block = Buffer.from(blankHeader);
  block.write("PaxHeader", 0, "latin1");
  writeNumbers(block, 0, { path: "", type: "file", mode: 0o644, uid: 0, gid: 0, size, mtime: 0n });
  writeLong(block, fields.mtime, 0);
  block[fields.typeflag] = extensionFlag;
  writeChecksum(block, 0);
  if (extensionHeaders.size < 1000) extensionHeaders.set(size, block);
  return block;
}

/** Of an extended header whose only record is a time, the record's start: its length and its key. */
const timeAt = "NN mtime=".length;
/** By the length of the record. */
const timeExtensions: (Buffer | undefined)[] = [];

/** Adds an extended header that says a time since 1970 with a fraction: what nearly every file of a usual tree has. */
function addTime(tar: TarBytes, seconds: number, nanoseconds: number): void {
  let places = 9;
  let fraction = nanoseconds;
  for (; fraction % 10 === 0; fraction /= 10) places -= 1;
  const count = countDigits(seconds);
  const length = timeAt + count + 1 + places + 1;
  const extension = (timeExtensions[length] ??= createTimeExtension(length));
  const pointAt = tar.append(extension) + blockLength + timeAt + count;
  const { room } = tar;
  writeDecimal(room, pointAt - 1, seconds, count);
  room[pointAt] = 0x2e;
  writeDecimal(room, pointAt + places, fraction, places);
  room[pointAt + 1 + places] = 0x0a;
}

function createTimeExtension(length: number): Buffer {
  const blocks = Buffer.concat([extensionHeader(length), zerosOf(blockLength)]);
  blocks.write(`${length} mtime=`, blockLength, "latin1");
  return blocks;
}

function countDigits(value: number): number {
  let count = 1;
  for (let least = 10; least <= value; least *= 10) count += 1;
  return count;
}

/** Writes so many digits of a number, the last one at `last`. */
function writeDecimal(room: Buffer, last: number, value: number, digits: number): void {
  let rest = value;
  for (let at = last; at > last - digits; at--) {
    const tenth = Math.floor(rest / 10);
    room[at] = 0x30 + rest - 10 * tenth;
    rest = tenth;
  }
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

/** Where the name starts in a path that a header holds, behind the "/" that ends its prefix; -1 where it holds it not. */
function nameStart(path: string): number {
  if (!plain.test(path)) return -1;
  if (path.length <= 100) return 0;
  const slash = path.indexOf("/", path.length - 101);
  return slash < 1 || slash > 155 || slash === path.length - 1 ? -1 : slash + 1;
}

function paxRecords(entry: Entry, path: string, nameAt: number): readonly NewPaxRecord[] {
  const linkname = entry.linkname ?? "";
  const records: NewPaxRecord[] = [];
  if (nameAt < 0) records.push({ key: "path", value: path });
  if (linkname.length > 100 || !plain.test(linkname)) records.push({ key: "linkpath", value: linkname });
  if (bodyLength(entry) > largestLong) records.push({ key: "size", value: String(entry.size) });
  if (entry.uid > largestId) records.push({ key: "uid", value: String(entry.uid) });
  if (entry.gid > largestId) records.push({ key: "gid", value: String(entry.gid) });
  if (!isPlainTime(entry.mtime)) records.push({ key: "mtime", value: formatPaxTime(entry.mtime) });
  if (entry.xattrs === undefined) return records;
  const xattrs = Object.entries(entry.xattrs).map(([name, value]) => ({ key: `SCHILY.xattr.${name}`, value }));
  return [...records, ...xattrs];
}

function isPlainTime(time: bigint): boolean {
  const seconds = secondsOf(time);
  return seconds >= 0 && seconds <= largestLong && nanosecondsOf(time, seconds) === 0;
}

function writeNumbers(room: Buffer, at: number, entry: Entry): void {
  writeId(room, at + fields.mode, entry.mode & 0o7777);
  writeId(room, at + fields.uid, entry.uid);
  writeId(room, at + fields.gid, entry.gid);
  writeLong(room, at + fields.size, bodyLength(entry));
}

function writeName(room: Buffer, at: number, path: string, nameAt: number): void {
  if (nameAt === 0) room.write(path, at, "latin1");
  else if (nameAt < 0) room.write(asciiPrefix(path), at, "latin1");
  else {
    room.write(path.slice(nameAt), at, "latin1");
    room.write(path.slice(0, nameAt - 1), at + fields.prefix, "latin1");
  }
}

function writeDevice(room: Buffer, at: number, { major, minor }: NonNullable<Entry["device"]>): void {
  writeId(room, at + fields.devmajor, major);
  writeId(room, at + fields.devminor, minor);
}

function asciiPrefix(text: string): string {
  return (plain.test(text) ? text : text.replaceAll(/[^\x20-\x7e]/g, "_")).slice(0, 100);
}
