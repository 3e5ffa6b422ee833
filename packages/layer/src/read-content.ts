import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";
import type { Entry } from "./entry.ts";
import { LayerError } from "./errors.ts";

/** A file of an entry that is open for reading. */
export interface OpenContent extends Disposable {
  /** Fills `target` with the next bytes of the file. */
  fill(target: Uint8Array): void;
  /** Fails where the file is no longer as it was when it was opened; to be called after the last byte. */
  check(): void;
}

/**
 * Opens the bytes of a file's entry.
 * @throws LayerError `SOURCE_MISSING` where the entry has no content; `FILE_CHANGED`, here and from what is given, where the file is gone or not as the entry says.
 */
export function openContent(entry: Entry): OpenContent {
  const { content } = entry;
  if (content === undefined) {
    throw new LayerError("SOURCE_MISSING", `Cannot read "${entry.path}": its bytes are not on this machine`, {
      path: entry.path,
    });
  }
  return "bytes" in content ? openBytes(entry, content.bytes) : openFile(entry, content.path, content.offset);
}

/** The error for a file that changed under the reader; `what` says how. */
export function fileChanged(entry: Entry, what: string, cause?: unknown): LayerError {
  return new LayerError("FILE_CHANGED", `Cannot read "${entry.path}": ${what} while it was read`, {
    path: entry.path,
    hint: "Build again when nothing writes there",
    cause,
  });
}

function openBytes(entry: Entry, bytes: Uint8Array): OpenContent {
  if (bytes.length !== entry.size) throw fileChanged(entry, `it holds ${bytes.length} bytes, not ${entry.size},`);
  let at = 0;
  return {
    fill(target) {
      target.set(bytes.subarray(at, at + target.length));
      at += target.length;
    },
    check() {},
    [Symbol.dispose]() {},
  };
}

function openFile(entry: Entry, path: string, offset: number | undefined): OpenContent {
  const file = openRegular(entry, path);
  const before = fstatSync(file);
  let at = offset ?? 0;
  if (!before.isFile() || (offset === undefined ? before.size !== entry.size : before.size < offset + entry.size)) {
    closeSync(file);
    throw fileChanged(entry, "it changed its size or kind");
  }
  return {
    fill(target) {
      readFully(entry, { file, target, at });
      at += target.length;
    },
    check() {
      if (!isSameState(before, fstatSync(file))) throw fileChanged(entry, "it was written to");
    },
    [Symbol.dispose]: () => closeSync(file),
  };
}

/** Without following a link and without waiting for a writer, should something else stand there by now. */
function openRegular(entry: Entry, path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ELOOP" || code === "ENOTDIR") throw fileChanged(entry, "it vanished", error);
    throw new LayerError("PERMISSION_MISSING", `Cannot read "${entry.path}": ${(error as Error).message}`, {
      path: entry.path,
      cause: error,
    });
  }
}

function readFully(entry: Entry, from: { file: number; target: Uint8Array; at: number }): void {
  let done = 0;
  while (done < from.target.length) {
    const count = readSync(from.file, from.target, done, from.target.length - done, from.at + done);
    if (count === 0) throw fileChanged(entry, "it became shorter");
    done += count;
  }
}

function isSameState(a: Stats, b: Stats): boolean {
  return a.size === b.size && a.mtimeMs === b.mtimeMs && a.ctimeMs === b.ctimeMs;
}
