import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync } from "node:fs";

const exact = { bigint: true } as const;
const mode = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Why the bytes of a file can't be had: `message` continues "Cannot read …: ". Workers pass it on, so it needs no other module. */
export class FileProblem extends Error {
  /** `changed`: it is not what it was when it was looked at; `unreadable`: it is, but it can't be read. */
  readonly kind: "changed" | "unreadable";

  constructor(kind: FileProblem["kind"], message: string, cause?: unknown) {
    super(message, { cause });
    this.kind = kind;
  }
}

/** An open regular file. */
export interface RegularFile extends Disposable {
  /** Bytes. */
  readonly size: number;
  /** See `stateOf`. */
  readonly state: string;
  /** Fills `target` with the bytes from `position` on. @throws FileProblem where there are fewer. */
  fill(target: Uint8Array, position: number): void;
  /** Fails where the file is no longer as it was when it was opened. @throws FileProblem */
  check(): void;
}

/** Opens a file without following a link and without waiting for a writer, should something else stand there by now. @throws FileProblem */
export function openRegularFile(path: string): RegularFile {
  const file = open(path);
  const before = fstatSync(file, exact);
  if (!before.isFile()) {
    closeSync(file);
    throw changedKind();
  }
  return {
    size: Number(before.size),
    get state() {
      return stateOf(before);
    },
    fill: (target, position) => readFully(file, target, position),
    check: () => checkSame(file, before),
    [Symbol.dispose]: () => closeSync(file),
  };
}

/** Which bytes of a file are wanted. */
export interface WantedBytes {
  /** Where they start. */
  readonly position: number;
  /** What the file's length must be; undefined where it may go on. */
  readonly fileSize: number | undefined;
}

/**
 * Fills `target` with bytes of a file, all of them of one state of it, and gives what tells that state: as `openRegularFile`,
 * `fill` and `check` do, at less cost for a small file.
 * @throws FileProblem also where the file has another length.
 */
export function readUnchanged(path: string, target: Uint8Array, wanted: WantedBytes): BigIntStats {
  const file = open(path);
  try {
    const before = fstatSync(file, exact);
    if (!before.isFile()) throw changedKind();
    const { position, fileSize } = wanted;
    const size = Number(before.size);
    const isRight = fileSize === undefined ? size >= position + target.length : size === fileSize;
    if (!isRight) throw new FileProblem("changed", "it changed its size");
    readFully(file, target, position);
    checkSame(file, before);
    return before;
  } finally {
    closeSync(file);
  }
}

/** Tells this state of a file from any other: inode, size, mtime and ctime (nanoseconds), joined by spaces. */
export function stateOf({ ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
}

/**
 * Fills `target` with the bytes of a file from `position` on, whose digest will tell whether they are the right ones:
 * nothing else is looked at.
 * @throws FileProblem where there are fewer, or it is no file.
 */
export function readBytes(path: string, target: Uint8Array, position: number): void {
  const file = open(path);
  try {
    readFully(file, target, position);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EISDIR" && code !== "ESPIPE") throw error;
    throw changedKind(error);
  } finally {
    closeSync(file);
  }
}

/** What `task` gives, or what it says of a file. */
export function withProblem<T>(task: () => T): T | Pick<FileProblem, "kind" | "message"> {
  try {
    return task();
  } catch (error) {
    if (!(error instanceof FileProblem)) throw error;
    return { kind: error.kind, message: error.message };
  }
}

function checkSame(file: number, before: BigIntStats): void {
  const { ctimeNs, mtimeNs, size } = fstatSync(file, exact);
  const isSame = ctimeNs === before.ctimeNs && mtimeNs === before.mtimeNs && size === before.size;
  if (!isSame) throw new FileProblem("changed", "it was written to");
}

function changedKind(cause?: unknown): FileProblem {
  return new FileProblem("changed", "it changed its kind", cause);
}

function open(path: string): number {
  try {
    return openSync(path, mode);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const isGone = code === "ENOENT" || code === "ELOOP" || code === "ENOTDIR" || code === "ENXIO";
    throw new FileProblem(isGone ? "changed" : "unreadable", isGone ? "it vanished" : message, error);
  }
}

function readFully(file: number, target: Uint8Array, position: number): void {
  for (let done = 0; done < target.length;) {
    const count = readSync(file, target, done, target.length - done, position + done);
    if (count === 0) throw new FileProblem("changed", "it became shorter");
    done += count;
  }
}
