import type { Descriptor, Digest, Layer } from "@varve/oci";

/** `sha256:…` of a step definition, its inputs and its parent; made by the cache-key package. */
export type CacheKey = Digest;

/** What is remembered of one step. Complete in itself: all blobs it names are stored before it is. */
export interface CacheRecord {
  readonly key: CacheKey;
  /** Undefined for a step that made no layer. */
  readonly layer: RecordLayer | undefined;
  /** The key's parts by name, for explaining a miss: small strings, such as digests and the instruction's words. */
  readonly ingredients: Readonly<Record<string, string>>;
  /** RFC 3339. */
  readonly createdAt: string;
  /** Milliseconds that the step took when it ran. */
  readonly duration: number;
  /** Who made it: varve's version and, where known, a CI run or host. */
  readonly producer: string;
}

/** A layer of a record: what an image needs of it, its content digest, and the descriptor of its layer index. */
export interface RecordLayer extends Layer {
  readonly contentDigest: Digest;
  readonly index: Descriptor;
}
