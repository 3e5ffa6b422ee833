import type { Digest } from "@varve/oci";
import type { Entry } from "./entry.ts";

/** A run of a layer's tar that is compressed by itself. Offsets and lengths in bytes. */
export interface Segment {
  /** Of the uncompressed bytes, within the tar. */
  readonly tarOffset: number;
  readonly tarLength: number;
  /** Tells the uncompressed bytes: sha256 of them with each run of file bytes left out, and then of the sha256 of each such run. */
  readonly tarDigest: Digest;
  /** Within the blob. */
  readonly offset: number;
  readonly length: number;
}

/** What a layer holds, without its bytes. Entries in the layer's order. */
export interface LayerIndex {
  readonly diffId: Digest;
  /** Tree digest of the entries, mtimes left out: the layer's id where varve built it. */
  readonly contentDigest: Digest;
  /** For a file: `tarOffset` is where its bytes start in the tar. */
  readonly entries: readonly IndexEntry[];
  /** Absent for a blob that varve did not cut. */
  readonly segments?: readonly Segment[];
}

export interface IndexEntry extends Entry {
  readonly tarOffset?: number;
}
