import type { IndexEntry } from "./layer-index.ts";
import { decompress } from "./decompress.ts";
import { readTar } from "./read-tar.ts";
import { toEntry } from "./tar-entry.ts";

/** An entry of a layer and, for a file, its bytes; to be read before the next entry is asked for. */
export interface LayerEntry {
  readonly entry: IndexEntry;
  readonly body: AsyncIterable<Buffer>;
}

/**
 * The entries of a layer in its order, from its blob in whatever compression: it is told by the first bytes, not by
 * a media type. `tarOffset` is given for files that are stored in one piece.
 * @throws LayerError while reading: `ARCHIVE_CORRUPT`, `ENTRY_UNSUPPORTED`, `PATH_ESCAPE`.
 */
export async function* readLayer(
  content: AsyncIterable<Uint8Array>,
  options: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<LayerEntry> {
  for await (const { header, offset, body } of readTar(decompress(content, options))) {
    const entry = toEntry(header, "read");
    if (entry === undefined) continue;
    const isWhole = entry.type === "file" && header.sparse === undefined;
    yield { entry: isWhole ? { ...entry, tarOffset: offset } : entry, body };
  }
}
