import { closeSync, openSync, readSync } from "node:fs";
import type { Entry, FileTree } from "@varve/layer";
import { resolvePath } from "@varve/layer";

const LIMIT = 16 * 1024 * 1024;

/**
 * The bytes of the file at `path` of `tree`, symlinks followed inside the tree; undefined where there is no file.
 * For small files such as /etc/passwd: what lies beyond 16 MiB is left out. The entry's content must be at hand.
 */
export function readTreeFile(tree: FileTree, path: string): Buffer | undefined {
  const { entry } = resolvePath(tree, path, { followLast: true });
  return entry?.type === "file" ? readEntry(entry) : undefined;
}

/** The first bytes of a file's entry, at most `limit`. */
export function readEntry(entry: Entry, limit: number = LIMIT): Buffer {
  const length = Math.min(entry.size, limit);
  if (length === 0) return Buffer.alloc(0);
  const content = entry.content;
  if (content === undefined) throw new Error(`Cannot read "${entry.path}": its content was not materialised`);
  if ("bytes" in content) return Buffer.from(content.bytes.subarray(0, length));
  const buffer = Buffer.alloc(length);
  const file = openSync(content.path, "r");
  try {
    const read = readSync(file, buffer, 0, length, content.offset ?? 0);
    return buffer.subarray(0, read);
  } finally {
    closeSync(file);
  }
}
