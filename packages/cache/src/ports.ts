import type { Digest, IngestStore, Layout } from "@varve/oci";
import type { CacheKey, CacheRecord, RecordLayer } from "./record.ts";

/** What `put` did: stored it, found the same layer there, or kept the other one that came first. */
export type PutOutcome =
  | { readonly outcome: "stored" | "same" }
  | { readonly outcome: "conflict"; readonly existing: CacheRecord };

export interface PutOptions {
  /** The record takes the place of one that came first: for steps that were asked to run again. */
  readonly replace?: boolean;
}

/** Cache keys and their records. */
export interface CacheIndex {
  /** The records of `keys`, in their order; undefined where there is none, or where a blob it names is gone. */
  getMany(keys: readonly CacheKey[]): Promise<readonly (CacheRecord | undefined)[]>;
  /**
   * Stores a record, first write wins. Its blobs must be in the content store already.
   * @throws CacheError `RECORD_INVALID` where a blob it names is not.
   */
  put(record: CacheRecord, options?: PutOptions): Promise<PutOutcome>;
  /** A layer of a record by its content digest, where its blobs are there; undefined where there is none. */
  findLayer(contentDigest: Digest): Promise<RecordLayer | undefined>;
}

/** A step cache: records, and the blobs that they name. */
export interface Cache {
  readonly index: CacheIndex;
  readonly content: IngestStore;
}

/** Small derived values by namespace and key, lost without harm: file digests of a context, segments of a layer. */
export interface Memo {
  get(namespace: string, key: string): Promise<Uint8Array | undefined>;
  put(namespace: string, key: string, value: Uint8Array): Promise<void>;
}

/** The store of one user on one machine, shared by all builds that run there. */
export interface LocalStore extends Cache, AsyncDisposable {
  /** Root of the store; absolute. */
  readonly path: string;
  /** Blobs and tags as an OCI layout that other tools read; safe for many processes. */
  readonly content: Omit<Layout, "blobPath" | "path">;
  readonly memo: Memo;
  /** Path of a blob's file, for readers that need random access; undefined where it is absent. */
  blobPath(digest: Digest): string | undefined;
  /** Where the extracted layer `digest` stands or will stand: `layers/<hex>`. */
  layerPath(digest: Digest): string;
  /** A new empty directory under `tmp/` or `mounts/`, on the same file system as the layers; removed with the store's disposal. */
  makeTemporaryDirectory(parent: "tmp" | "mounts"): Promise<string>;
  /** Marks what this process uses, so that eviction in any process leaves it alone until disposal. */
  use(digests: readonly Digest[]): void;
}
