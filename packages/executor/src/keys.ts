import { cacheKey, ingredientsOf, type Json, stepDigest } from "@varve/cache-key";
import type { CacheKey } from "@varve/cache";
import type { Step } from "@varve/graph";
import type { Digest } from "@varve/oci";
import { hideSecrets } from "./explain/hide-secrets.ts";
import type { Rootfs } from "./rootfs.ts";

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

/** The parts of a key as they are known before anything is resolved: what a step decides is named by that step. */
export interface CheapParts {
  readonly definition: Json;
  /** A step stands for the digest of its rootfs. */
  readonly inputs: readonly (Digest | Step)[];
  readonly parent: Step | undefined;
}

/** The cheap key of a step, once `resolve` has given the rootfs that it depends on. */
export async function createCheapKey(
  { definition, inputs, parent }: CheapParts,
  resolve: (step: Step) => Promise<Rootfs>,
): Promise<StepKey> {
  const digestOf = async (input: Digest | Step): Promise<Digest> =>
    typeof input === "string" ? input : (await resolve(input)).digest;
  const [below, ...others] = await Promise.all([
    parent === undefined ? undefined : digestOf(parent),
    ...inputs.map(digestOf),
  ]);
  return createStepKey({ definition, inputs: others.filter((digest) => digest !== undefined), parent: below });
}

/** The key of a step with these parts. */
export function createStepKey({ definition, inputs, parent }: KeyParts): StepKey {
  const key = cacheKey(stepDigest({ definition, inputs }), parent);
  return { key, ingredients: hideSecrets(ingredientsOf({ definition, inputs, parent })) };
}
