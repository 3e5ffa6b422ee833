import { createHash } from "node:crypto";
import type { Digest } from "@varve/oci";
import { decompress } from "./decompress.ts";
import type { IndexEntry, LayerIndex } from "./layer-index.ts";
import { sortEntries } from "./order-entries.ts";
import { readTar } from "./read-tar.ts";
import { toEntry } from "./tar-entry.ts";
import { digestOrdered } from "./tree-digest.ts";

/**
 * What a layer's blob holds, in whatever compression, without writing any of it. Paths are those of the tar; where
 * `extractLayer` follows a link among the parents of one, its index differs.
 * @throws LayerError `ARCHIVE_CORRUPT`, `ENTRY_UNSUPPORTED`, `PATH_ESCAPE`.
 */
export async function indexLayer(
  content: AsyncIterable<Uint8Array>,
  options: { readonly signal?: AbortSignal } = {},
): Promise<LayerIndex> {
  const sum = createHash("sha256");
  const entries: IndexEntry[] = [];
  for await (const { header, offset, body } of readTar(digested(decompress(content, options), sum))) {
    const entry = toEntry(header, "read");
    if (entry === undefined) continue;
    if (entry.type !== "file") entries.push(entry);
    else
      entries.push({
        ...entry,
        ...(header.sparse === undefined && { tarOffset: offset }),
        digest: await digestOf(body),
      });
  }
  return { diffId: `sha256:${sum.digest("hex")}`, contentDigest: digestOrdered(sortEntries(entries)), entries };
}

async function* digested(
  chunks: AsyncIterable<Buffer>,
  sum: { update(chunk: Uint8Array): unknown },
): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    sum.update(chunk);
    yield chunk;
  }
}

async function digestOf(body: AsyncIterable<Uint8Array>): Promise<Digest> {
  const sum = createHash("sha256");
  for await (const chunk of body) sum.update(chunk);
  return `sha256:${sum.digest("hex")}`;
}
