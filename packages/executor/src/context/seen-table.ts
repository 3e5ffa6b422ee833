import { readdirSync } from "node:fs";
import type { EntryType } from "@varve/layer";
import { type Digest, hexOf, sha256 } from "@varve/oci";
import type { SeenPath } from "./context-tree.ts";
import { type FileStamp, PackedStamp, readStamp, settledBefore, StampColumn } from "./file-stamp.ts";
import { decodeTable, draftTable, type PackedTable } from "./packed-table.ts";

/** What a path was, where a look at its stamp is enough to know that it still is. */
export interface PlainEntry {
  readonly type: Extract<EntryType, "file" | "directory">;
  readonly mode: number;
  /** Of a file, where it is known. */
  readonly digest: Digest | undefined;
}

/** Of a row: the mode (16 bits), flags (16 bits), the sha256 of a file's bytes or of a listed directory's names. */
const CONTENT_AT = 4;
const CONTENT_BYTES = 32;
const ROW_BYTES = CONTENT_AT + CONTENT_BYTES;
const nothing = Buffer.alloc(CONTENT_BYTES);
const nothingHex = nothing.toString("hex");
/** `plain`: no other name, no xattrs; all else of it is in the row. */
const flags = { file: 1, directory: 2, plain: 4 } as const;

/** What was seen of a context, as a value; room for `before` bytes of something else is left in front of it. */
export interface EncodedSeen {
  readonly value: Buffer;
  /** False where something was written to so shortly before `started` that its stamp does not tell it from a later state. */
  readonly isSettled: boolean;
}

/** Encodes what was seen, as often as it is asked for, in a walk that began at `started`: nanoseconds since 1970. */
export function encodeSeen(seen: () => Iterable<SeenPath>, started: bigint, before: number): EncodedSeen {
  const paths = Array.from(seen(), ({ path }) => path);
  const { value, stamps, rows } = draftTable(paths, ROW_BYTES, before);
  let position = 0;
  for (const each of seen()) {
    if (each.stamp !== undefined) stamps.set(position, each.stamp);
    writeRow(rows, ROW_BYTES * position, each);
    position += 1;
  }
  return { value, isSettled: stamps.forget(settledBefore(started)) === 0 };
}

function writeRow(rows: Buffer, at: number, { entry, names }: SeenPath): void {
  if (entry === undefined) return;
  const { type, mode, inode, xattrs, digest } = entry;
  if (type !== "file" && type !== "directory") return;
  rows.writeUInt16LE(mode, at);
  rows.writeUInt16LE(flags[type] | (inode === undefined && xattrs === undefined ? flags.plain : 0), at + 2);
  if (digest !== undefined) rows.write(hexOf(digest), at + CONTENT_AT, "hex");
  if (names !== undefined) rows.set(hashNames(names), at + CONTENT_AT);
}

function hashNames(names: readonly string[]): Buffer {
  return sha256(Buffer.from(names.join("\0")));
}

/** What an earlier build saw of a context, for as long as that is known to be so. */
export class SeenTable {
  #table: PackedTable;
  #positions: ReadonlyMap<string, number> | undefined;
  #next = 0;
  /** Rows before this one were looked at in this build, and are as they were. */
  #verified = 0;

  private constructor(table: PackedTable) {
    this.#table = table;
  }

  /** The table of such a value; undefined where it is none. */
  static decode(value: Uint8Array): SeenTable | undefined {
    const table = decodeTable(value);
    const isWhole = table !== undefined && table.rows.length === ROW_BYTES * table.paths.length;
    return isWhole ? new SeenTable(table) : undefined;
  }

  /** Looks at all of it again, up to the first thing that differs: nothing but lstat and readdir. */
  verify(root: string): boolean {
    const { paths, stamps, rows } = this.#table;
    for (const [row, path] of paths.entries()) {
      this.#verified = row;
      const file = path === "" ? root : `${root}/${path}`;
      if (!stamps.matches(row, readStamp(file))) return false;
      if ((this.#flags(row) & flags.directory) === 0) continue;
      const at = ROW_BYTES * row + CONTENT_AT;
      const names = rows.subarray(at, at + CONTENT_BYTES);
      if (!names.equals(nothing) && !names.equals(readNamesHash(file))) return false;
    }
    this.#verified = paths.length;
    return true;
  }

  /** The row of a path; -1 where it has none. Paths are mostly asked for in the order in which they stand: then none is looked up. */
  find(path: string): number {
    const { paths } = this.#table;
    if (paths[this.#next] !== path) {
      this.#positions ??= new Map(paths.map((each, position) => [each, position]));
      const found = this.#positions.get(path);
      if (found === undefined) return -1;
      this.#next = found;
    }
    this.#next += 1;
    return this.#next - 1;
  }

  /** The stamp of a row, where it was seen in this build and `plainEntry` says all else. */
  verifiedStamp(row: number): FileStamp | undefined {
    const isPlain = row >= 0 && row < this.#verified && (this.#flags(row) & flags.plain) !== 0;
    return isPlain ? new PackedStamp(this.#table.stamps, row) : undefined;
  }

  /** What a row says all of, while the stamp is the same; undefined where more has to be asked for. */
  plainEntry(row: number, stamp: FileStamp): PlainEntry | undefined {
    if (row < 0 || (this.#flags(row) & flags.plain) === 0 || !this.#table.stamps.matches(row, stamp)) return undefined;
    const type = this.#flags(row) & flags.file ? "file" : "directory";
    return { type, mode: this.#table.rows.readUInt16LE(ROW_BYTES * row), digest: this.digest(row, stamp) };
  }

  /** The digest of the file that it was and, with this stamp, still is; undefined where none is known. */
  digest(row: number, stamp: FileStamp): Digest | undefined {
    const { rows, stamps } = this.#table;
    if (row < 0 || (this.#flags(row) & flags.file) === 0 || !stamps.matches(row, stamp)) return undefined;
    const at = ROW_BYTES * row + CONTENT_AT;
    const hex = rows.toString("hex", at, at + CONTENT_BYTES);
    return hex === nothingHex ? undefined : `sha256:${hex}`;
  }

  /** The same for whoever has a file's stamp now. */
  digestOf(path: string, stamp: FileStamp): Digest | undefined {
    return this.digest(this.find(path), stamp);
  }

  /** Forgets all of it: of a large context it is tens of megabytes. */
  clear(): void {
    this.#table = { paths: [], stamps: StampColumn.from([]), rows: nothing };
    this.#positions = undefined;
    this.#verified = 0;
  }

  #flags(row: number): number {
    return this.#table.rows.readUInt16LE(ROW_BYTES * row + 2);
  }
}

function readNamesHash(directory: string): Buffer {
  try {
    return hashNames(readdirSync(directory).toSorted());
  } catch {
    return nothing;
  }
}
