import {
  blobUnknown,
  type ContentSource,
  createDigester,
  type Descriptor,
  type Digest,
  streamContent,
} from "@varve/oci";
import { type ArchiveFile, type ArchiveFiles, readArchiveFile } from "./archive-files.ts";

/** The content of an archive's images: its files, and what was put together from them. */
export interface ArchiveContent extends ContentSource {
  /** Lets a file of the archive stand for its digest, which is computed. */
  addFile(file: ArchiveFile): Promise<{ readonly digest: Digest; readonly size: number }>;
  addBytes(digest: Digest, bytes: Uint8Array): void;
}

/** Content of an archive: files of `blobs/sha256/` by their names, and what is added. */
export function createArchiveContent(files: ArchiveFiles): ArchiveContent {
  const blobs = new Map<Digest, ArchiveFile | Uint8Array>();
  const find = (digest: Digest): ArchiveFile | Uint8Array | undefined =>
    blobs.get(digest) ?? files.find(`blobs/${digest.replace(":", "/")}`);
  return {
    exists: async (descriptor) => sizeOf(find(descriptor.digest)) === descriptor.size,
    fetch: (descriptor, options) => streamContent(descriptor, () => read(descriptor, find(descriptor.digest)), options),
    async addFile(file) {
      const digester = createDigester();
      for await (const chunk of readArchiveFile(file)) digester.update(chunk);
      const digest = digester.digest();
      blobs.set(digest, file);
      return { digest, size: file.size };
    },
    addBytes: (digest, bytes) => void blobs.set(digest, bytes),
  };
}

function sizeOf(blob: ArchiveFile | Uint8Array | undefined): number | undefined {
  return blob instanceof Uint8Array ? blob.length : blob?.size;
}

async function* read(descriptor: Descriptor, blob: ArchiveFile | Uint8Array | undefined): AsyncGenerator<Uint8Array> {
  if (blob === undefined) throw blobUnknown(descriptor);
  if (blob instanceof Uint8Array) yield blob;
  else yield* readArchiveFile(blob);
}
