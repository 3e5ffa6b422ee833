import { StampColumn } from "./file-stamp.ts";

/** Paths with their stamps and with so many further bytes each. */
export interface PackedTable {
  readonly paths: readonly string[];
  readonly stamps: StampColumn;
  readonly rows: Buffer;
}

const HEADER = 16;

/** A table as one value, whose stamps and rows are still zeros: to be set in place. */
export interface TableDraft extends PackedTable {
  readonly value: Buffer;
}

/**
 * A table as one value: three 32-bit counts (paths, bytes of names, bytes of a row) and 4 bytes of nothing; for each
 * path four 64-bit numbers (inode, size, mtime, ctime); the rows; the paths joined by NUL. Little-endian. Room for
 * `before` bytes of something else, a multiple of 8, is left in front of it.
 */
export function draftTable(paths: readonly string[], rowLength: number, before = 0): TableDraft {
  const rowsAt = before + HEADER + 32 * paths.length;
  const namesAt = rowsAt + rowLength * paths.length;
  const end = paths.reduce((sum, path) => sum + Buffer.byteLength(path) + 1, namesAt);
  const value = Buffer.alloc(Math.max(namesAt, end - 1));
  value.writeUInt32LE(paths.length, before);
  value.writeUInt32LE(value.length - namesAt, before + 4);
  value.writeUInt32LE(rowLength, before + 8);
  let at = namesAt;
  // One by one: joined they would take as much memory again.
  for (const path of paths) at += value.write(path, at) + 1;
  const numbers = new BigInt64Array(value.buffer, value.byteOffset + before + HEADER, 4 * paths.length);
  return { value, paths, stamps: new StampColumn(numbers), rows: value.subarray(rowsAt, namesAt) };
}

/** The reverse; undefined for a value that is not one. */
export function decodeTable(value: Uint8Array): PackedTable | undefined {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (bytes.length < HEADER) return undefined;
  const count = bytes.readUInt32LE(0);
  const rowLength = bytes.readUInt32LE(8);
  const rowsAt = HEADER + count * 32;
  const namesAt = rowsAt + count * rowLength;
  if (bytes.length !== namesAt + bytes.readUInt32LE(4)) return undefined;
  const paths = count === 0 ? [] : bytes.toString("utf8", namesAt).split("\0");
  if (paths.length !== count) return undefined;
  // Copied: numbers have to stand at multiples of eight.
  const numbers = new BigInt64Array(new Uint8Array(bytes.subarray(HEADER, rowsAt)).buffer);
  return { paths, stamps: new StampColumn(numbers), rows: bytes.subarray(rowsAt, namesAt) };
}
