import { type BigIntStats, lstatSync } from "node:fs";

/** What lstat says of a file; where any of it differs, the file may differ. Times in nanoseconds since 1970. */
export interface FileStamp {
  readonly inode: bigint;
  readonly size: bigint;
  readonly mtime: bigint;
  /** Changes with the bytes, and with mode, owner, links and xattrs as well. */
  readonly ctime: bigint;
}

/** A file changed this shortly before it was looked at could change again without its times telling: nanoseconds. */
const RACY_WINDOW = 20_000_000n;

/** The stamp in a stat. */
export function stampOf({ ino, size, mtimeNs, ctimeNs }: BigIntStats): FileStamp {
  return { inode: ino, size, mtime: mtimeNs, ctime: ctimeNs };
}

/** The stamp of what stands at `path` itself; undefined where nothing does, or it can't be looked at. */
export function readStamp(path: string): FileStamp | undefined {
  try {
    return stampOf(lstatSync(path, { bigint: true }));
  } catch {
    return undefined;
  }
}

/** The stamp as `digestPaths` gives the state of a file. */
export function stateOf({ inode, size, mtime, ctime }: FileStamp): string {
  return `${inode} ${size} ${mtime} ${ctime}`;
}

/** Nanoseconds since 1970. */
export function timeNow(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}

/**
 * A stamp with both times before this tells its file from any later state of it; `seen`: when that was looked at, at
 * the earliest.
 */
export function settledBefore(seen: bigint): bigint {
  return seen - RACY_WINDOW;
}

/** Stamps by position, packed: four 64-bit numbers each. */
export class StampColumn {
  readonly numbers: BigInt64Array;

  constructor(numbers: BigInt64Array) {
    this.numbers = numbers;
  }

  /** A column of these stamps; undefined, for nothing at all, becomes zeros. */
  static from(stamps: readonly (FileStamp | undefined)[]): StampColumn {
    const column = new StampColumn(new BigInt64Array(4 * stamps.length));
    for (const [position, stamp] of stamps.entries()) if (stamp !== undefined) column.set(position, stamp);
    return column;
  }

  /** Stamps that it has room for. */
  get length(): number {
    return this.numbers.length / 4;
  }

  inode(position: number): bigint {
    return BigInt.asUintN(64, this.numbers[4 * position]!);
  }

  size(position: number): bigint {
    return this.numbers[4 * position + 1]!;
  }

  mtime(position: number): bigint {
    return this.numbers[4 * position + 2]!;
  }

  ctime(position: number): bigint {
    return this.numbers[4 * position + 3]!;
  }

  set(position: number, stamp: FileStamp): void {
    const at = 4 * position;
    if (stamp instanceof PackedStamp) {
      stamp.copyTo(this.numbers, at);
      return;
    }
    const { inode, size, mtime, ctime } = stamp;
    this.numbers[at] = BigInt.asIntN(64, inode);
    this.numbers[at + 1] = size;
    this.numbers[at + 2] = mtime;
    this.numbers[at + 3] = ctime;
  }

  /** Makes those with a time of `limit` or later match nothing any more, and tells how many they are. */
  forget(limit: bigint): number {
    const { numbers } = this;
    let forgotten = 0;
    for (let at = 0; at < numbers.length; at += 4) {
      if (numbers[at + 2]! < limit && numbers[at + 3]! < limit) continue;
      numbers.fill(-1n, at, at + 4);
      forgotten += 1;
    }
    return forgotten;
  }

  matches(position: number, stamp: FileStamp | undefined): boolean {
    const { numbers } = this;
    const at = 4 * position;
    if (stamp === undefined) return numbers[at] === 0n && numbers[at + 3] === 0n;
    return (
      numbers[at + 3] === stamp.ctime &&
      numbers[at + 2] === stamp.mtime &&
      numbers[at + 1] === stamp.size &&
      numbers[at] === BigInt.asIntN(64, stamp.inode)
    );
  }
}

/** A stamp in a column: of large contexts there are many, and packed numbers take less than BigInts. */
export class PackedStamp implements FileStamp {
  readonly #column: StampColumn;
  readonly #position: number;

  constructor(column: StampColumn, position: number) {
    this.#column = column;
    this.#position = position;
  }

  get inode(): bigint {
    return this.#column.inode(this.#position);
  }

  get size(): bigint {
    return this.#column.size(this.#position);
  }

  get mtime(): bigint {
    return this.#column.mtime(this.#position);
  }

  get ctime(): bigint {
    return this.#column.ctime(this.#position);
  }

  /** Its four numbers, from the `at`th on. */
  copyTo(numbers: BigInt64Array, at: number): void {
    const own = this.#column.numbers;
    const from = 4 * this.#position;
    numbers[at] = own[from]!;
    numbers[at + 1] = own[from + 1]!;
    numbers[at + 2] = own[from + 2]!;
    numbers[at + 3] = own[from + 3]!;
  }
}
