import { setImmediate } from "node:timers/promises";
import type { Entry } from "./entry.ts";
import { openContent } from "./read-content.ts";
import { TreeWriter } from "./tree-writer.ts";

const chunkLength = 1024 * 1024;
/** Bytes written before other tasks get their turn. */
const sliceLength = 8 * 1024 * 1024;

/**
 * Writes entries (parents before children; no whiteouts) into `directory`, which exists: contents, owners, modes, times,
 * links and xattrs. Files that are one in their tree (`inode`) are one here.
 * @throws LayerError as packLayer does for contents, as extractLayer for what cannot be made.
 */
export async function writeTree(entries: Iterable<Entry>, directory: string, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
  using writer = new TreeWriter(directory, "none");
  const first = new Map<string, string>();
  let written = 0;
  for (const entry of entries) {
    const linkname = entry.inode === undefined ? undefined : first.get(entry.inode);
    if (entry.inode !== undefined && linkname === undefined) first.set(entry.inode, entry.path);
    if (linkname !== undefined) writer.place({ ...entry, type: "hardlink", linkname, size: 0 });
    else written += writeOne(writer, entry) + 4096;
    if (written < sliceLength) continue;
    written = 0;
    options.signal?.throwIfAborted();
    await setImmediate();
  }
  writer.finish();
}

function writeOne(writer: TreeWriter, entry: Entry): number {
  writer.place(entry);
  if (entry.type !== "file") return 0;
  using content = openContent(entry);
  const buffer = Buffer.allocUnsafe(Math.min(entry.size, chunkLength));
  for (let at = 0; at < entry.size; at += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, entry.size - at));
    content.fill(piece);
    writer.write(piece, at);
  }
  content.check();
  writer.close();
  return entry.size;
}
