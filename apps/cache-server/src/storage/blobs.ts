import { type FileHandle, open } from "node:fs/promises";
import type { Lane, UploadPart } from "@varve/cache";
import type { Digest } from "@varve/oci";
import type { Database } from "../database/database.ts";
import { blobKey } from "../database/keys.ts";
import type { BlobFiles } from "./blob-files.ts";
import { addBlob, grantBlob, readableSize, readBlobRow } from "./blob-rows.ts";
import type { Holds } from "./holds.ts";
import type { KeyedLock } from "./keyed-lock.ts";
import { checkQuota, type Quotas } from "./quotas.ts";
import { receiveFile } from "./receive-file.ts";
import type { Room } from "./room.ts";
import type { Uses } from "./uses.ts";

/** A blob that is open for reading; held until it is closed. */
export interface OpenBlob extends AsyncDisposable {
  readonly file: FileHandle;
  /** In bytes. */
  readonly size: number;
}

/** Blobs, and who may read them. */
export interface Blobs {
  /** The size of a blob that is readable in one of `lanes`. */
  size(digest: Digest, lanes: readonly Lane[]): number | undefined;
  /** Opens a blob that is readable in one of `lanes`; undefined where there is none. */
  open(digest: Digest, lanes: readonly Lane[]): Promise<OpenBlob | undefined>;
  /** Receives a blob whole and lets `lane` read it. Errors as of `receiveFile`, and those of room and quota. */
  receive(expected: ExpectedBlob, content: AsyncIterable<Uint8Array>): Promise<void>;
  /** Takes over a synced file whose digest was checked, and lets `lane` read it. */
  adopt(path: string, expected: ExpectedBlob & { readonly parts: readonly UploadPart[] }): Promise<void>;
  /** Those of `digests` that no lane of `lanes` can read; the others are held for `ms`. */
  missing(digests: readonly Digest[], lanes: readonly Lane[], ms: number): readonly Digest[];
}

/** What is about to be stored, and for whom. */
export interface ExpectedBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly lane: Lane;
}

export interface BlobsOptions {
  readonly database: Database;
  readonly files: BlobFiles;
  readonly room: Room;
  readonly holds: Holds;
  readonly uses: Uses;
  /** Between placing a file with its row, and removing both. */
  readonly lock: KeyedLock;
  readonly quotas: Quotas;
  /** How long a new blob is not evicted: until the record that names it can come. Milliseconds. */
  readonly holdNew: number;
  /** Told of a blob whose file is not there, or has another size. */
  readonly onDamaged: (digest: Digest) => void;
}

/** Blobs in these files, known by these rows. */
export function createBlobs(options: BlobsOptions): Blobs {
  const { database, files, room, holds, uses } = options;
  return {
    size: (digest, lanes) => readableSize(database.get, digest, lanes),
    async open(digest, lanes) {
      const size = readableSize(database.get, digest, lanes);
      return size === undefined ? undefined : openFile(digest, size, options);
    },
    async receive(expected, content) {
      checkQuota(database.get, options.quotas, { lane: expected.lane, bytes: expected.size });
      const release = await room.reserve(expected.size);
      const path = files.temporaryPath();
      try {
        await receiveFile(path, content, expected);
        await adoptFile(path, { ...expected, parts: [] }, options);
      } finally {
        await files.remove(path);
        release();
      }
    },
    adopt: (path, expected) => adoptFile(path, expected, options),
    missing(digests, lanes, ms) {
      return digests.filter((digest) => {
        if (readableSize(database.get, digest, lanes) === undefined) return true;
        holds.holdFor(digest, ms);
        uses.touch(blobKey(digest));
        return false;
      });
    },
  };
}

async function openFile(
  digest: Digest,
  size: number,
  { files, holds, uses, onDamaged }: BlobsOptions,
): Promise<OpenBlob | undefined> {
  const release = holds.hold(digest);
  const file = await open(files.path(digest), "r").catch(() => undefined);
  const actual = file === undefined ? undefined : (await file.stat()).size;
  if (file === undefined || actual !== size) {
    await file?.close();
    release();
    onDamaged(digest);
    return undefined;
  }
  uses.touch(blobKey(digest));
  return {
    file,
    size,
    async [Symbol.asyncDispose]() {
      release();
      await file.close();
    },
  };
}

/** The file first, then the row: a server that ends in between leaves a file that nobody knows, and no row without one. */
async function adoptFile(
  path: string,
  { digest, size, lane, parts }: ExpectedBlob & { readonly parts: readonly UploadPart[] },
  { database, files, holds, lock, quotas, holdNew }: BlobsOptions,
): Promise<void> {
  await lock(digest, async () => {
    await files.place(path, digest);
    holds.holdFor(digest, holdNew);
    try {
      await database.change((rows) => {
        addBlob(rows, digest, { size, parts });
        grantBlob(rows, digest, lane);
        checkQuota(rows.get, quotas, { lane, bytes: 0 });
      });
    } finally {
      if (readBlobRow(database.get, digest) === undefined) await files.remove(files.path(digest));
    }
  });
}
