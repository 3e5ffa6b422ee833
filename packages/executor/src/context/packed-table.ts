import { StampColumn } from "./file-stamp.ts";

/** Paths with their stamps and with so many further bytes each. */
export interface PackedTable {
  readonly paths: readonly string[];
  readonly stamps: StampColumn;
  readonly rows: Buffer;
}

const HEADER = 16;

/**
 * A table as one value: three 32-bit counts (paths, bytes of names, bytes of a row) and 4 bytes of nothing; for each
 * path four 64-bit numbers (inode, size, mtime, ctime); the rows; the paths joined by NUL. Little-endian. Room for
 * `before` bytes of something else is left in front of it.
 */
export function encodeTable({ paths, stamps, rows }: PackedTable, before = 0): Buffer {
  const names = paths.join("\0");
  const { numbers } = stamps;
  const rowsAt = HEADER + numbers.byteLength;
  const namesAt = rowsAt + rows.length;
  const all = Buffer.alloc(before + namesAt + Buffer.byteLength(names));
  const bytes = all.subarray(before);
  bytes.writeUInt32LE(paths.length, 0);
  bytes.writeUInt32LE(bytes.length - namesAt, 4);
  bytes.writeUInt32LE(paths.length === 0 ? 0 : rows.length / paths.length, 8);
  bytes.set(new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength), HEADER);
  bytes.set(rows, rowsAt);
  bytes.write(names, namesAt);
  return all;
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
