import { setImmediate } from "node:timers/promises";
import type { Entry } from "./entry.ts";
import { orderEntries } from "./order-entries.ts";
import { openContent } from "./read-content.ts";
import { TreeWriter } from "./tree-writer.ts";

const chunkLength = 1024 * 1024;
/** Below this, reading and writing is faster than a copy by the kernel. */
const copyAbove = 128 * 1024;
/** Bytes written between two turns of the event loop; an entry counts as some of them. */
const sliceLength = 8 * 1024 * 1024;
const entryWeight = 8192;

/**
 * Writes entries, in any order, with their contents into a directory, onto what stands there: directories merge,
 * anything else makes way, whiteouts remove. Owners, modes, times, xattrs and hard links as the entries have them;
 * files that are one in their tree (`inode`) are one here; bytes are shared where the file system can (reflink).
 * Nothing is written outside of the directory.
 * @throws LayerError `FILE_CHANGED` where a file is not what its entry says, `SOURCE_MISSING`, `PERMISSION_MISSING`,
 * `ENTRY_UNSUPPORTED` where a hard link's file is not among the entries.
 */
export async function writeTree(
  entries: Iterable<Entry>,
  directory: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<void> {
  using writer = new TreeWriter(directory, "apply");
  let written = 0;
  for (const entry of joinInodes(orderEntries([...entries]))) {
    options.signal?.throwIfAborted();
    writeEntry(writer, entry);
    written += entry.size + entryWeight;
    if (written < sliceLength) continue;
    written = 0;
    await setImmediate();
  }
  writer.finish();
}

/** The first entry of an inode stays the file, the others become hard links to it. */
function joinInodes(entries: readonly Entry[]): readonly Entry[] {
  const firsts = new Map<string, string>();
  return entries.map((entry) => {
    const { inode, path } = entry;
    if (inode === undefined || entry.type !== "file") return entry;
    const linkname = firsts.get(inode);
    if (linkname !== undefined) return { ...entry, type: "hardlink", linkname, size: 0 };
    firsts.set(inode, path);
    return entry;
  });
}

function writeEntry(writer: TreeWriter, entry: Entry): void {
  if (entry.type === "whiteout") writer.whiteOut(entry.path);
  else if (entry.type === "opaque") writer.makeOpaque(entry.path);
  else if (entry.type === "file" && entry.size > 0) writeFile(writer, entry);
  else {
    writer.place(entry);
    writer.close();
  }
}

function writeFile(writer: TreeWriter, entry: Entry): void {
  using source = openContent(entry);
  const { content } = entry;
  const isWhole = content !== undefined && "path" in content && content.offset === undefined;
  if (isWhole && entry.size > copyAbove) writer.place(entry, content.path);
  else {
    writer.place(entry);
    const buffer = Buffer.allocUnsafe(Math.min(chunkLength, entry.size));
    for (let at = 0; at < entry.size; at += buffer.length) {
      const piece = buffer.subarray(0, Math.min(buffer.length, entry.size - at));
      source.fill(piece);
      writer.write(piece, at);
    }
  }
  source.check();
  writer.close();
}
