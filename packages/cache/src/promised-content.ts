import { Readable } from "node:stream";
import {
  type ContentSource,
  type Descriptor,
  type Digest,
  OciError,
  readChunks,
  type TransferOptions,
} from "@varve/oci";
import { CacheError } from "./errors.ts";
import type { Guard } from "./guard.ts";
import type { LocalStore, RemoteCache } from "./ports.ts";
import type { CacheRecord } from "./record.ts";

/** A cache behind the store, and what keeps its faults away from the build. */
export interface Behind {
  readonly cache: RemoteCache;
  readonly guard: Guard;
}

/** Blobs of the store, and those that records of remote caches promise, fetched when they are read. */
export interface PromisedContent extends ContentSource {
  /** From now on the blobs of `record` can be fetched from `behind`. */
  promise(record: CacheRecord, behind: Behind): void;
  /** True where a blob of the record was promised before and could not be fetched. */
  isLost(record: CacheRecord): boolean;
  /** Blobs that were lost. */
  readonly lost: number;
}

/** Content of `store`, and of what is promised to be elsewhere. */
export function createPromisedContent(store: LocalStore): PromisedContent {
  return new LazyContent(store);
}

class LazyContent implements PromisedContent {
  readonly #store: LocalStore;
  readonly #origins = new Map<Digest, Behind>();
  readonly #lost = new Set<Digest>();
  /** Blobs that came once with other bytes. */
  readonly #doubted = new Set<Digest>();

  constructor(store: LocalStore) {
    this.#store = store;
  }

  get lost(): number {
    return this.#lost.size;
  }

  promise(record: CacheRecord, behind: Behind): void {
    for (const { digest } of blobsOf(record)) this.#origins.set(digest, behind);
  }

  isLost(record: CacheRecord): boolean {
    return blobsOf(record).some(({ digest }) => this.#lost.has(digest));
  }

  async exists(descriptor: Descriptor, transfer?: TransferOptions): Promise<boolean> {
    return (await this.#store.content.exists(descriptor, transfer)) || this.#origins.has(descriptor.digest);
  }

  /** Where a blob is fetched from; undefined: the store has it, or nobody. */
  #behind({ digest }: Descriptor): Behind | undefined {
    return this.#store.blobPath(digest) === undefined ? this.#origins.get(digest) : undefined;
  }

  /** The store's blob, or one that is fetched elsewhere; if that fails, it is never promised again. */
  fetch(descriptor: Descriptor, transfer: TransferOptions = {}): Readable {
    const behind = this.#behind(descriptor);
    if (behind === undefined) return this.#store.content.fetch(descriptor, transfer);
    return Readable.from(this.#fetchFrom(behind, descriptor, transfer), {
      objectMode: false,
      highWaterMark: 1024 * 1024,
    });
  }

  read(descriptor: Descriptor, transfer: TransferOptions = {}): AsyncIterable<Uint8Array> {
    const behind = this.#behind(descriptor);
    return behind === undefined
      ? readChunks(this.#store.content, descriptor, transfer)
      : this.#fetchFrom(behind, descriptor, transfer);
  }

  async *#fetchFrom(
    { cache, guard }: Behind,
    descriptor: Descriptor,
    transfer: TransferOptions,
  ): AsyncGenerator<Uint8Array> {
    try {
      yield* cache.content.fetch(descriptor, transfer) as AsyncIterable<Uint8Array>;
    } catch (cause) {
      transfer.signal?.throwIfAborted();
      // The second time it is fetched in another way: whole, from its start.
      if (isWrong(cause) && !this.#doubted.has(descriptor.digest)) {
        this.#doubted.add(descriptor.digest);
        throw this.#lose(descriptor, cache, cause);
      }
      this.#lost.add(descriptor.digest);
      this.#origins.delete(descriptor.digest);
      guard.report(cause, { fatal: true });
      throw this.#lose(descriptor, cache, cause);
    }
  }

  #lose({ digest }: Descriptor, { name }: RemoteCache, cause: unknown): CacheError {
    return new CacheError("CONTENT_LOST", `Cannot fetch "${digest}" from cache ${name}: its record promised it`, {
      cause,
    });
  }
}

function isWrong(error: unknown): boolean {
  return error instanceof OciError && (error.code === "DIGEST_MISMATCH" || error.code === "SIZE_INVALID");
}

function blobsOf({ layer }: CacheRecord): readonly Descriptor[] {
  return layer === undefined ? [] : [layer.descriptor, layer.index];
}
