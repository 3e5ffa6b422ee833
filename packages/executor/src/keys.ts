import { cacheKey, ingredientsOf, type Json, stepDigest } from "@varve/cache-key";
import type { CacheKey } from "@varve/cache";
import type { Digest } from "@varve/oci";

/** A step's cache key and what went into it. */
export interface StepKey {
  readonly key: CacheKey;
  readonly ingredients: Readonly<Record<string, string>>;
}

export interface KeyParts {
  readonly definition: Json;
  /** Digests of the file sets it reads, in the order of its sources. */
  readonly inputs: readonly Digest[];
  /** Undefined for a step that depends on nothing beneath. */
  readonly parent: Digest | undefined;
}

/** The key of a step with these parts. */
export function createStepKey({ definition, inputs, parent }: KeyParts): StepKey {
  const key = cacheKey(stepDigest({ definition, inputs }), parent);
  return { key, ingredients: ingredientsOf({ definition, inputs, parent }) };
}
