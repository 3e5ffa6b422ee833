import { type Digest, digestOf } from "@varve/oci";
import { canonicalJson, type Json } from "./canonical-json.ts";

/** What a step is, and digests of what it reads. */
export interface StepDescription {
  /** The instruction after expansion and all that reaches it. */
  readonly definition: Json;
  /** Of each file set that the step reads, in the order of its sources. */
  readonly inputs: readonly Digest[];
}

/** Changes when the meaning of a key does: all older records miss then. */
const KEY_VERSION = "varve/key/1";
const ROOTFS_VERSION = "varve/rootfs/1";
/** Stands in a key for "depends on nothing beneath": no digest has this form. */
const NO_PARENT = "none";

/** First level of a key: sha256 of the canonical JSON of `{definition, inputs}`. */
export function stepDigest({ definition, inputs }: StepDescription): Digest {
  return digestOf(Buffer.from(canonicalJson({ definition, inputs })));
}

/**
 * Second level: sha256 over the version, the step digest and the parent digest, each ended by a line feed, which
 * none of them holds. `parent` undefined: the step depends on nothing beneath it.
 */
export function cacheKey(step: Digest, parent: Digest | undefined): Digest {
  return digestOf(Buffer.from([KEY_VERSION, step, parent ?? NO_PARENT, ""].join("\n")));
}

/** What stands for a file system in keys: sha256 over the ids of its layers, oldest first. */
export function rootfsDigest(layerIds: readonly Digest[]): Digest {
  return digestOf(Buffer.from([ROOTFS_VERSION, ...layerIds, ""].join("\n")));
}
