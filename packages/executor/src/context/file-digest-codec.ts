import type { Digest } from "@varve/oci";

/** A file whose digest is known: what lstat said when it was read. */
export interface KnownFile {
  readonly inode: bigint;
  readonly size: bigint;
  /** Nanoseconds since 1970. */
  readonly mtime: bigint;
  readonly ctime: bigint;
  readonly digest: Digest;
}

const FIXED = 4 * 8 + 32;
const HEADER = 8;

/**
 * One value for a whole context: two 32-bit counts (files, bytes of names), the paths joined by NUL, then for each
 * path four 64-bit numbers (inode, size, mtime, ctime) and the 32 bytes of the sha256. Little-endian.
 */
export function encodeFileDigests(files: ReadonlyMap<string, KnownFile>): Uint8Array {
  const names = Buffer.from([...files.keys()].join("\0"));
  const bytes = Buffer.alloc(HEADER + names.length + files.size * FIXED);
  bytes.writeUInt32LE(files.size, 0);
  bytes.writeUInt32LE(names.length, 4);
  names.copy(bytes, HEADER);
  let offset = HEADER + names.length;
  for (const file of files.values()) {
    bytes.writeBigUInt64LE(file.inode, offset);
    bytes.writeBigUInt64LE(file.size, offset + 8);
    bytes.writeBigInt64LE(file.mtime, offset + 16);
    bytes.writeBigInt64LE(file.ctime, offset + 24);
    bytes.write(file.digest.slice("sha256:".length), offset + 32, "hex");
    offset += FIXED;
  }
  return bytes;
}

/** The reverse; empty for a value that is not one. */
export function decodeFileDigests(value: Uint8Array): Map<string, KnownFile> {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  const files = new Map<string, KnownFile>();
  if (bytes.length < HEADER) return files;
  const count = bytes.readUInt32LE(0);
  const start = HEADER + bytes.readUInt32LE(4);
  if (bytes.length !== start + count * FIXED || count === 0) return files;
  const names = bytes.toString("utf8", HEADER, start).split("\0");
  if (names.length !== count) return files;
  for (const [index, name] of names.entries()) {
    const offset = start + index * FIXED;
    files.set(name, {
      inode: bytes.readBigUInt64LE(offset),
      size: bytes.readBigUInt64LE(offset + 8),
      mtime: bytes.readBigInt64LE(offset + 16),
      ctime: bytes.readBigInt64LE(offset + 24),
      digest: `sha256:${bytes.toString("hex", offset + 32, offset + FIXED)}`,
    });
  }
  return files;
}
