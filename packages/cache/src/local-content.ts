import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { type BlobWriter, type Descriptor, type Layout, OciError, readChunks } from "@varve/oci";
import { CacheError } from "./errors.ts";
import { touch } from "./touch.ts";

/** The store's blobs: an OCI layout whose failures are told in the store's words, and whose damaged blobs are set aside. */
export function createLocalContent(layout: Layout): Layout {
  return {
    path: layout.path,
    blobPath: (digest) => layout.blobPath(digest),
    exists(descriptor) {
      // Whoever asks is going to use it: eviction in any process leaves it alone from now on.
      touch(layout.blobPath(descriptor.digest));
      return layout.exists(descriptor);
    },
    list: () => layout.list(),
    resolve: (tag) => layout.resolve(tag),
    tag: (descriptor, tag) => explain(layout.path, () => layout.tag(descriptor, tag)),
    untag: (tag) => explain(layout.path, () => layout.untag(tag)),
    add: (descriptor) => explain(layout.path, () => layout.add(descriptor)),
    remove: (digest) => explain(layout.path, () => layout.remove(digest)),
    push: (expected, content, options) => explain(layout.path, () => layout.push(expected, content, options)),
    openWriter: () => explain(layout.path, async () => explainWriter(await layout.openWriter(), layout.path)),
    fetch(descriptor, options) {
      const content = layout.fetch(descriptor, options) as AsyncIterable<Uint8Array>;
      const stream = { objectMode: false, highWaterMark: 1024 * 1024 };
      return Readable.from(setAsideDamaged(layout, descriptor, content), stream);
    },
    read: (descriptor, options) => setAsideDamaged(layout, descriptor, readChunks(layout, descriptor, options)),
  };
}

async function* setAsideDamaged(
  layout: Layout,
  descriptor: Descriptor,
  content: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  try {
    yield* content;
  } catch (error) {
    if (error instanceof OciError && (error.code === "DIGEST_MISMATCH" || error.code === "SIZE_INVALID"))
      setAside(layout, descriptor);
    throw error;
  }
}

/** A damaged blob is out of the way, so that the next build makes or fetches it again. */
function setAside(layout: Layout, { digest }: Descriptor): void {
  const directory = join(layout.path, "damaged");
  mkdirSync(directory, { recursive: true });
  try {
    renameSync(layout.blobPath(digest), join(directory, digest.slice("sha256:".length)));
  } catch {
    // Another process was first.
  }
}

function explainWriter(writer: BlobWriter, path: string): BlobWriter {
  return {
    write: (chunk) => explain(path, () => writer.write(chunk)),
    commit: () => explain(path, () => writer.commit()),
    abort: () => writer.abort(),
  };
}

/** Runs `task`; a full disk or missing permission is told as such. */
export async function explain<T>(path: string, task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === "ENOSPC" || code === "EDQUOT") {
      throw new CacheError("DISK_FULL", `Cannot write to store "${path}": the disk is full`, {
        cause,
        hint: "Free space on the disk, or choose another store with --store",
      });
    }
    if (code === "EACCES" || code === "EPERM" || code === "EROFS") throw storeUnwritable(path, cause);
    throw cause;
  }
}

/** The error for a store at `path` that can't be written because of `cause`, an error of the system. */
export function storeUnwritable(path: string, cause: unknown): CacheError {
  const { code } = cause as NodeJS.ErrnoException;
  return new CacheError("STORE_UNWRITABLE", `Cannot write to store "${path}": ${code}`, {
    cause,
    hint: "Choose another store with --store",
  });
}
