import type { BlobWriter, IngestStore, Target } from "./content.ts";
import type { Descriptor } from "./descriptor.ts";
import { type Digest, digestOf } from "./digest.ts";
import { OciError } from "./errors.ts";
import { streamContent, verifyContent } from "./verify-content.ts";

/** Content and tags in memory: for tests and for small things that are put together before they are copied. */
export function createMemoryStore(): IngestStore & Target {
  const blobs = new Map<Digest, Buffer>();
  const tags = new Map<string, Descriptor>();
  return {
    exists: async (descriptor) => blobs.get(descriptor.digest)?.length === descriptor.size,
    fetch: (descriptor, options) => streamContent(descriptor, () => read(blobs, descriptor), options),
    async push(expected, content, { signal } = {}) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of verifyContent(expected, content)) {
        signal?.throwIfAborted();
        chunks.push(Uint8Array.from(chunk));
      }
      blobs.set(expected.digest, Buffer.concat(chunks));
    },
    openWriter: async () => createWriter(blobs),
    resolve: async (tag) => tags.get(tag),
    async tag(descriptor, tag) {
      if (!blobs.has(descriptor.digest)) throw blobUnknown(descriptor);
      tags.set(tag, descriptor);
    },
  };
}

async function* read(blobs: ReadonlyMap<Digest, Buffer>, descriptor: Descriptor): AsyncGenerator<Uint8Array> {
  const bytes = blobs.get(descriptor.digest);
  if (bytes === undefined) throw blobUnknown(descriptor);
  yield bytes;
}

function createWriter(blobs: Map<Digest, Buffer>): BlobWriter {
  const chunks: Uint8Array[] = [];
  return {
    async write(chunk) {
      chunks.push(Uint8Array.from(chunk));
    },
    async commit() {
      const bytes = Buffer.concat(chunks);
      const digest = digestOf(bytes);
      blobs.set(digest, bytes);
      return { digest, size: bytes.length };
    },
    async abort() {
      chunks.length = 0;
    },
  };
}

/** The error of a `fetch` or `tag` for content that is not there. */
export function blobUnknown({ digest }: Descriptor): OciError {
  return new OciError("BLOB_UNKNOWN", `Cannot read content "${digest}": it is not in the store`);
}
