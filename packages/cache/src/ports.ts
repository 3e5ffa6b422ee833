import type { ContentSource, Digest, IngestStore, Layout, TransferOptions } from "@varve/oci";
import type { CacheKey, CacheRecord, RecordLayer } from "./record.ts";
import type { ResolveRequest } from "./remote/protocol.ts";

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

/** Where a record was found: in this machine's store, in another cache, or after waiting for whoever made it. */
export type RecordSource = "local" | "remote" | "waited";

/** A record, and where it was found. Its blobs are in the content of the cache that gave it. */
export interface FoundRecord {
  readonly record: CacheRecord;
  readonly source: RecordSource;
}

/** Whose turn it is to make the record of a key that nobody has. */
export type Turn =
  /** Ours. `end` gives it back, once the record was put or could not be made. */
  | { readonly type: "ours"; readonly end: () => void }
  /** Nobody's: it was made meanwhile. */
  | { readonly type: "made"; readonly found: FoundRecord }
  /** Another builder's. `wait` settles when it is worth asking again. */
  | { readonly type: "theirs"; readonly wait: (signal: AbortSignal) => Promise<void> };

/** The cache of a build: the store's, with the caches of others behind it. Others' faults are misses here. */
export interface BuildCache {
  /** Blobs of all records it gave. A stream ends with `CONTENT_LOST` where no cache has the blob any more. */
  readonly content: ContentSource;
  /** True where caches of others stand behind the store. */
  readonly isShared: boolean;
  find(key: CacheKey): Promise<FoundRecord | undefined>;
  /** Takes what makes the plan of the whole build, so that a cache far away can be asked once for all of it. */
  foresee(plan: () => Promise<ResolveRequest>): void;
  /** Stores a record whose blobs are in `content`, and offers it to others. */
  put(record: CacheRecord, options?: PutOptions): Promise<void>;
  /** A layer in the store by its content digest. */
  findLayer(contentDigest: Digest): Promise<RecordLayer | undefined>;
  /** Of all builders that miss one key, one makes it. Advice, no lock: a wait that takes too long ends with our turn. */
  takeTurn(key: CacheKey): Promise<Turn>;
}

/** A lease on making the record of a key. */
export type Lease =
  | { readonly type: "granted"; readonly end: () => Promise<void> }
  | { readonly type: "made"; readonly record: CacheRecord }
  | { readonly type: "held"; readonly wait: (options: TransferOptions) => Promise<void> };

/** Bytes that went to and came from a cache, and those that did not have to. */
export interface TransferCounts {
  readonly sent: number;
  readonly received: number;
  /** Not sent: the cache had them. */
  readonly sendSaved: number;
  /** Not received: the store had them. */
  readonly receiveSaved: number;
}

export interface OfferOptions extends PutOptions {
  /** The record was found, here or elsewhere: the cache may have it. */
  readonly isFound?: boolean;
}

/** A cache beyond this machine. Everything it does may fail; whoever asks can do without. */
export interface RemoteCache {
  /** For messages. */
  readonly name: string;
  /** Blobs of the records that it has. Streams are verified. */
  readonly content: ContentSource;
  /** The records of `keys`, in their order. */
  getMany(keys: readonly CacheKey[]): Promise<readonly (CacheRecord | undefined)[]>;
  /** The records of a plan, as far as there are any, in any order. */
  readonly resolve?: (plan: ResolveRequest) => Promise<readonly CacheRecord[]>;
  /** Takes a record and the blobs that it names, from `blobs`; undefined where the cache is only read. */
  readonly put?:
    | ((record: CacheRecord, blobs: ContentSource, options?: OfferOptions & TransferOptions) => Promise<void>)
    | undefined;
  /** Ends what `put` began. `layers`: diff IDs of the images that were built. */
  readonly finish?: ((layers: ReadonlySet<Digest>, options?: TransferOptions) => Promise<void>) | undefined;
  readonly lease?: (key: CacheKey) => Promise<Lease>;
  counts(): TransferCounts;
}

/** Contents of cache mounts where other machines reach them, as layers. */
export interface MountCache {
  /** Blobs of these layers. Streams are verified. */
  readonly content: ContentSource;
  /** `id`: 64 hexadecimal digits. */
  getMount(id: string): Promise<RecordLayer | undefined>;
  /** Last write wins. The blobs come from `blobs`. */
  putMount(id: string, layer: RecordLayer, blobs: ContentSource, options?: TransferOptions): Promise<void>;
}

/** Small derived values by namespace and key, lost without harm: file digests of a context, segments of a layer. */
export interface Memo {
  get(namespace: string, key: string): Promise<Uint8Array | undefined>;
  put(namespace: string, key: string, value: Uint8Array): Promise<void>;
}

/** What eviction may take. */
export interface EvictOptions {
  /** Bytes that the store may still take afterwards; undefined: all goes that may. */
  readonly maxUsedSpace: number | undefined;
  /** What was used since then stays: milliseconds since 1970; undefined: nothing stays for that. */
  readonly unusedSince: number | undefined;
  /** `keep`: images with a name stay whole. */
  readonly images: "keep" | "evict";
  /** Extracted layers that stay: diff IDs. */
  readonly pinned: ReadonlySet<Digest>;
  readonly signal: AbortSignal;
}

/** What eviction did. Bytes on the disk. */
export interface Evicted {
  readonly items: number;
  readonly bytes: number;
  /** What the store takes now. */
  readonly remaining: number;
}

/** The store of one user on one machine, shared by all builds that run there. */
export interface LocalStore extends Cache, AsyncDisposable {
  /** Root of the store; absolute. */
  readonly path: string;
  /** Blobs and tags as an OCI layout that other tools read; safe for many processes. */
  readonly content: Omit<Layout, "blobPath" | "path">;
  readonly memo: Memo;
  /**
   * Has records at hand that the last build of this name used; no index is opened for them. To be called at the end is
   * what it gives: it keeps those that were used since, for the next build of the name.
   */
  recall(name: Digest): () => void;
  /** Path of a blob's file, for readers that need random access; undefined where it is absent. */
  blobPath(digest: Digest): string | undefined;
  /** Where the extracted layer `digest` stands or will stand: `layers/<hex>`. */
  layerPath(digest: Digest): string;
  /** A new empty directory under `tmp/` or `mounts/`, on the same file system as the layers; removed with the store's disposal. */
  makeTemporaryDirectory(parent: "tmp" | "mounts"): Promise<string>;
  /** Marks what this process uses, so that eviction in any process leaves it alone until disposal. */
  use(digests: readonly Digest[]): void;
  /** Removes what was not used for the longest time, and never what a running process may need. */
  evict(options: EvictOptions): Promise<Evicted>;
}
