import { setTimeout } from "node:timers/promises";
import type { ResolveRequest, ResolveStep, RootfsNode, RootfsRef } from "@varve/cache";
import { stepDigest } from "@varve/cache-key";
import type { BuildGraph, Step } from "@varve/graph";
import type { Digest } from "@varve/oci";
import type { CheapParts } from "./keys.ts";
import type { LayerStep, StepWork } from "./resolve.ts";

/** A step whose inputs are not known by then is left out: milliseconds. */
const PATIENCE = 3_000;

/**
 * All steps of the graphs as a cache needs them to find their records at once. Left out are steps that run in any case,
 * whose inputs are not known soon, or that need one that is left out.
 */
export async function planSteps(
  graphs: readonly BuildGraph[],
  workOf: (step: LayerStep) => StepWork,
): Promise<ResolveRequest> {
  const steps = [...new Set(graphs.flatMap((graph) => graph.steps))];
  const parts = await Promise.all(steps.map((step) => partsOf(step, workOf)));
  const plan: Plan = { roots: [], steps: [], nodes: new Map() };
  for (const [position, step] of steps.entries()) addStep(step, parts[position], plan);
  return { roots: plan.roots, steps: plan.steps };
}

interface Plan {
  readonly roots: Digest[][];
  readonly steps: ResolveStep[];
  readonly nodes: Map<Step, RootfsNode>;
}

async function partsOf(step: Step, workOf: (step: LayerStep) => StepWork): Promise<CheapParts | undefined> {
  if (step.kind === "from" || step.noCache === true) return undefined;
  const late = setTimeout(PATIENCE, undefined, { ref: false });
  // What is wrong with a step is told where it is resolved.
  return Promise.race([
    workOf(step)
      .cheapParts()
      .catch(() => undefined),
    late,
  ]);
}

function addStep(step: Step, parts: CheapParts | undefined, plan: Plan): void {
  if (step.kind === "from") {
    const layers = step.source.type === "image" ? step.source.image.layers : [];
    plan.nodes.set(step, { root: plan.roots.push(layers.map((layer) => layer.diffId)) - 1 });
    return;
  }
  const over = plan.nodes.get(step.parent);
  if (parts === undefined || over === undefined) return;
  const inputs = parts.inputs.map((input) => (typeof input === "string" ? input : referTo(input, plan)));
  if (!inputs.every((input) => input !== undefined)) return;
  const what = describe(parts, inputs);
  const parent = parts.parent === undefined ? null : { rootfs: over };
  plan.nodes.set(step, { step: plan.steps.push({ ...what, parent, over }) - 1 });
}

function referTo(step: Step, { nodes }: Plan): RootfsRef | undefined {
  const rootfs = nodes.get(step);
  return rootfs === undefined ? undefined : { rootfs };
}

/** The digest says all where it can be made here. */
function describe(
  { definition }: CheapParts,
  inputs: readonly (Digest | RootfsRef)[],
): { readonly stepDigest: Digest } | Pick<Extract<ResolveStep, { definition: unknown }>, "definition" | "inputs"> {
  const known = inputs.filter((input) => typeof input === "string");
  return known.length === inputs.length
    ? { stepDigest: stepDigest({ definition, inputs: known }) }
    : { definition, inputs };
}
