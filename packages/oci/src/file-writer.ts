import { open, rename, rm } from "node:fs/promises";
import type { BlobWriter } from "./content.ts";
import { createDigester, type Digest } from "./digest.ts";

/**
 * A writer to the new file `temporary`; a commit syncs it and moves it to where `place` says that its digest belongs,
 * on the same file system.
 */
export async function openFileWriter(temporary: string, place: (digest: Digest) => string): Promise<BlobWriter> {
  const file = await open(temporary, "wx", 0o644);
  const digester = createDigester();
  let size = 0;
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (isOpen) await file.close();
    isOpen = false;
  };
  return {
    async write(chunk) {
      digester.update(chunk);
      size += chunk.length;
      for (let offset = 0; offset < chunk.length;) offset += (await file.write(chunk, offset)).bytesWritten;
    },
    async commit() {
      await file.sync();
      await close();
      const digest = digester.digest();
      await rename(temporary, place(digest));
      return { digest, size };
    },
    async abort() {
      await close();
      await rm(temporary, { force: true });
    },
  };
}
