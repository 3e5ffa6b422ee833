import { statSync, utimesSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import type { BlobWriter } from "./content.ts";
import { createDigester, type Digest } from "./digest.ts";

/** A file that is being written beside its place. */
export interface NewFile {
  /** Appends bytes; the caller may reuse the buffer once the promise settles. */
  write(chunk: Uint8Array): Promise<void>;
  /** Syncs the file and moves it to `path`, on the same file system. */
  moveTo(path: string): Promise<void>;
  /** Drops what was written; harmless after `moveTo`. */
  abort(): Promise<void>;
}

/** Makes the file `temporary`, which must not be there. */
export async function openNewFile(temporary: string): Promise<NewFile> {
  const file = await open(temporary, "wx", 0o644);
  let isOpen = true;
  let isMoved = false;
  const close = async (): Promise<void> => {
    if (isOpen) await file.close();
    isOpen = false;
  };
  return {
    async write(chunk) {
      for (let offset = 0; offset < chunk.length;) offset += (await file.write(chunk, offset)).bytesWritten;
    },
    async moveTo(path) {
      await file.sync();
      await close();
      await rename(temporary, path);
      isMoved = true;
    },
    async abort() {
      await close();
      if (!isMoved) await rm(temporary, { force: true });
    },
  };
}

/** A writer to the new file `temporary`; a commit moves it to where `place` says that its digest belongs, if it is not there. */
export async function openFileWriter(temporary: string, place: (digest: Digest) => string): Promise<BlobWriter> {
  const file = await openNewFile(temporary);
  const digester = createDigester();
  let size = 0;
  return {
    async write(chunk) {
      digester.update(chunk);
      size += chunk.length;
      await file.write(chunk);
    },
    async commit() {
      const digest = digester.digest();
      const path = place(digest);
      if (isThere(path, size)) await file.abort();
      else await file.moveTo(path);
      return { digest, size };
    },
    abort: () => file.abort(),
  };
}

/** Used now, if it is: whoever looks for old files leaves it alone. What it holds is verified when it is read. */
function isThere(path: string, size: number): boolean {
  const hasSize = (): boolean => statSync(path, { throwIfNoEntry: false })?.size === size;
  if (!hasSize()) return false;
  try {
    utimesSync(path, new Date(), new Date());
  } catch {
    // It is gone, or somebody else's.
  }
  return hasSize();
}
