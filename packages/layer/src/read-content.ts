import type { Entry } from "./entry.ts";
import { LayerError } from "./errors.ts";
import { FileProblem, openRegularFile } from "./regular-file.ts";

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
  if (content === undefined) throw contentMissing(entry);
  return "bytes" in content ? openBytes(entry, content.bytes) : openFile(entry, content.path, content.offset);
}

/** The error for a file whose bytes are wanted and not at hand. */
export function contentMissing({ path }: Entry): LayerError {
  return new LayerError("SOURCE_MISSING", `Cannot read "${path}": its bytes are not on this machine`, { path });
}

/** The error for a file that changed under the reader; `what` says how. */
export function fileChanged({ path }: Pick<Entry, "path">, what: string, cause?: unknown): LayerError {
  return new LayerError("FILE_CHANGED", `Cannot read "${path}": ${what} while it was read`, {
    path,
    hint: "Build again when nothing writes there",
    cause,
  });
}

/** What went wrong with a file, told of the entry that it belongs to. */
export function explainProblem(
  entry: Pick<Entry, "path">,
  { kind, message, cause }: Pick<FileProblem, "kind" | "message" | "cause">,
): LayerError {
  if (kind === "changed") return fileChanged(entry, message, cause);
  return new LayerError("PERMISSION_MISSING", `Cannot read "${entry.path}": ${message}`, { path: entry.path, cause });
}

/** The bytes of an entry that are in memory. @throws LayerError `FILE_CHANGED` where their number is not its size. */
export function checkBytes(entry: Entry, bytes: Uint8Array): Uint8Array {
  if (bytes.length === entry.size) return bytes;
  throw fileChanged(entry, `it holds ${bytes.length} bytes, not ${entry.size},`);
}

/** True where a file of `found` bytes can be the whole of `size` bytes, or hold these from `offset` on. */
export function hasSize(found: number, size: number, offset: number | undefined): boolean {
  return offset === undefined ? found === size : found >= offset + size;
}

function openBytes(entry: Entry, content: Uint8Array): OpenContent {
  const bytes = checkBytes(entry, content);
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
  const file = explained(entry, () => openRegularFile(path));
  let at = offset ?? 0;
  if (!hasSize(file.size, entry.size, offset)) {
    file[Symbol.dispose]();
    throw fileChanged(entry, "it changed its size");
  }
  return {
    fill(target) {
      explained(entry, () => file.fill(target, at));
      at += target.length;
    },
    check: () => explained(entry, () => file.check()),
    [Symbol.dispose]: () => file[Symbol.dispose](),
  };
}

function explained<T>(entry: Entry, task: () => T): T {
  try {
    return task();
  } catch (error) {
    throw error instanceof FileProblem ? explainProblem(entry, error) : error;
  }
}
