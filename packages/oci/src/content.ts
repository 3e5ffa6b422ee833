import type { Readable } from "node:stream";
import type { Descriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";

/** Options of a transfer: `signal` ends it early, with the signal's reason as the error. */
export interface TransferOptions {
  readonly signal?: AbortSignal;
}

/** Somewhere content can be read from. */
export interface ContentSource {
  /** True when the content of `descriptor` can be fetched now. */
  exists(descriptor: Descriptor, options?: TransferOptions): Promise<boolean>;
  /**
   * Streams the content of `descriptor`.
   * The stream ends with `DIGEST_MISMATCH` or `SIZE_INVALID` where the bytes are not the ones described,
   * so no consumer has to check again; with `BLOB_UNKNOWN` where there are none.
   */
  fetch(descriptor: Descriptor, options?: TransferOptions): Readable;
  /**
   * Optional power: what `fetch` gives, out of few buffers. A chunk is valid until the next one is asked for: who keeps
   * it longer copies it.
   */
  read?(descriptor: Descriptor, options?: TransferOptions): AsyncIterable<Uint8Array>;
  /** Optional power: the file of this machine that should hold the content. Whoever reads it there verifies it. */
  file?(descriptor: Descriptor): string | undefined;
}

/** Somewhere content can be kept. */
export interface ContentStore extends ContentSource {
  /**
   * Stores content under the digest of `expected`. Idempotent: success means that the content is there, not that
   * this call put it there. Content that does not match `expected` is refused and leaves nothing behind. A chunk of
   * `content` is done with when the next one is asked for.
   */
  push(expected: Descriptor, content: AsyncIterable<Uint8Array>, options?: TransferOptions): Promise<void>;
}

/** A blob that is being written and whose digest is learnt at the end. */
export interface BlobWriter {
  /** Appends bytes; the caller may reuse the buffer once the promise settles. */
  write(chunk: Uint8Array): Promise<void>;
  /** Makes the blob visible in its store and gives its digest and size in bytes. */
  commit(): Promise<{ readonly digest: Digest; readonly size: number }>;
  /** Drops what was written; harmless after `commit`. */
  abort(): Promise<void>;
}

/** A content store that takes content whose digest is not known beforehand. */
export interface IngestStore extends ContentStore {
  openWriter(): Promise<BlobWriter>;
}

/** A content store that also names manifests: a registry's repository, an OCI layout, the local store. */
export interface Target extends ContentStore {
  /** The descriptor that `tag` names, or undefined. */
  resolve(tag: string, options?: TransferOptions): Promise<Descriptor | undefined>;
  /** Lets `tag` name a manifest or index that is in the store already; replaces what it named. */
  tag(descriptor: Descriptor, tag: string, options?: TransferOptions): Promise<void>;
}
