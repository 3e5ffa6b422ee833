import { type FileHandle, mkdir, open, readdir, rename, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, hexOf, isDigest } from "@varve/oci";

/** Where the bytes of blobs are: `blobs/XX/HEX`, and what is on its way there in `tmp/` and `uploads/`. */
export interface BlobFiles {
  path(digest: Digest): string;
  /** A file that is being received; unique. */
  temporaryPath(): string;
  /** The file of an upload that is under way. */
  uploadPath(id: string): string;
  /** Puts a synced file into its place, so that it is there after a power failure. */
  place(from: string, digest: Digest): Promise<void>;
  /** Harmless where it is gone. */
  remove(path: string): Promise<void>;
  /** Digests of all files in place, in no order. */
  list(): AsyncIterable<Digest>;
  /** Ids of all uploads that have a file. */
  listUploads(): Promise<readonly string[]>;
  /** Bytes that the disk has left. */
  free(): Promise<number>;
}

/** Files below `root`; what was on its way when a server ended is removed. */
export async function openBlobFiles(root: string): Promise<BlobFiles> {
  const blobs = join(root, "blobs");
  const temporaries = join(root, "tmp");
  const uploads = join(root, "uploads");
  await rm(temporaries, { recursive: true, force: true });
  for (const directory of [blobs, temporaries, uploads]) await mkdir(directory, { recursive: true });
  const fans = Array.from({ length: 256 }, (_, number) => number.toString(16).padStart(2, "0"));
  for (const fan of fans) await mkdir(join(blobs, fan), { recursive: true });
  await syncDirectory(blobs);
  let counter = 0;
  const fanOf = (digest: Digest): string => join(blobs, hexOf(digest).slice(0, 2));
  return {
    path: (digest) => join(fanOf(digest), hexOf(digest)),
    temporaryPath: () => join(temporaries, String((counter += 1))),
    uploadPath: (id) => join(uploads, id),
    async place(from, digest) {
      await rename(from, join(fanOf(digest), hexOf(digest)));
      await syncDirectory(fanOf(digest));
    },
    remove: (path) => rm(path, { force: true }),
    async *list() {
      for (const fan of fans) {
        for (const name of await readdir(join(blobs, fan))) {
          const digest = `sha256:${name}`;
          if (isDigest(digest)) yield digest;
        }
      }
    },
    listUploads: () => readdir(uploads),
    async free() {
      const { bavail, bsize } = await statfs(root);
      return bavail * bsize;
    },
  };
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Writes all of `chunk` at `position`. */
export async function writeFully(file: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < chunk.length;)
    done += (await file.write(chunk, done, chunk.length - done, position + done)).bytesWritten;
}
