import { cacheKey, rootfsDigest, stepDigest } from "@varve/cache-key";
import type { CacheKey, ResolveRequest, ResolveStep, RootfsNode, RootfsRef } from "@varve/cache";
import type { Digest } from "@varve/oci";
import { ServerError } from "./errors.ts";
import type { FoundRecord } from "./storage/records.ts";

/** Layer ids of a rootfs, oldest first, and their digest; undefined where a step beneath has no record. */
interface KnownRootfs {
  readonly layers: readonly Digest[];
  digest: Digest | undefined;
}

/** Layer ids that all nodes of one request may hold together: what a thousand steps on one another need. */
const MAX_LAYERS = 1_000_000;

/**
 * For each step the record of its key, as far as all that the key needs is known. Steps refer to those before them
 * only, so one pass does.
 * @throws ServerError `REQUEST_INVALID` for a node that is not before its step.
 */
export function resolveSteps(
  { roots, steps }: ResolveRequest,
  find: (key: CacheKey) => FoundRecord | undefined,
): readonly (FoundRecord | undefined)[] {
  const known: Known = {
    roots: roots.map((layers) => ({ layers, digest: undefined })),
    steps: [],
  };
  let held = 0;
  return steps.map((step, position) => {
    const key = stepKey(step, known);
    const record = key === undefined ? undefined : find(key);
    const over = nodeRootfs(step.over, known);
    const rootfs = over === undefined || record === undefined ? undefined : addLayer(over, record);
    held += rootfs?.layers.length ?? 0;
    if (held > MAX_LAYERS)
      throw new ServerError("REQUEST_INVALID", `Cannot resolve: the layers of ${position + 1} steps are too many`);
    known.steps.push(rootfs);
    return record;
  });
}

interface Known {
  readonly roots: readonly KnownRootfs[];
  readonly steps: (KnownRootfs | undefined)[];
}

function addLayer(over: KnownRootfs, { contentDigest }: FoundRecord): KnownRootfs {
  return contentDigest === undefined ? over : { layers: [...over.layers, contentDigest], digest: undefined };
}

function stepKey(step: ResolveStep, known: Known): CacheKey | undefined {
  const parent = step.parent === null ? null : knownDigest(step.parent, known);
  if (parent === undefined) return undefined;
  const digest = "stepDigest" in step ? step.stepDigest : makeStepDigest(step, known);
  return digest === undefined ? undefined : cacheKey(digest, parent ?? undefined);
}

function makeStepDigest(step: Exclude<ResolveStep, { stepDigest: Digest }>, known: Known): Digest | undefined {
  const inputs = step.inputs.map((input) => knownDigest(input, known));
  return inputs.every((input) => input !== undefined) ? stepDigest({ definition: step.definition, inputs }) : undefined;
}

function knownDigest(value: Digest | RootfsRef, known: Known): Digest | undefined {
  if (typeof value === "string") return value;
  const rootfs = nodeRootfs(value.rootfs, known);
  if (rootfs === undefined) return undefined;
  return (rootfs.digest ??= rootfsDigest(rootfs.layers));
}

function nodeRootfs(node: RootfsNode, { roots, steps }: Known): KnownRootfs | undefined {
  if ("root" in node && node.root < roots.length) return roots[node.root];
  if ("step" in node && node.step < steps.length) return steps[node.step];
  throw new ServerError(
    "REQUEST_INVALID",
    `Cannot resolve step ${steps.length}: ${JSON.stringify(node)} is not before it; wanted steps in the order in which they need each other`,
  );
}
