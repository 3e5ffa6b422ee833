import type { FileSet, Step } from "./step.ts";

/** The steps whose rootfs or files `step` reads, its parent first. */
export function stepInputs(step: Step): readonly Step[] {
  if (step.kind === "from") return [];
  return [step.parent, ...fileSetsOf(step).flatMap((set) => (set.type === "step" ? [set.step] : []))];
}

/** The file sets that a step copies or mounts from. */
export function fileSetsOf(step: Step): readonly FileSet[] {
  if (step.kind === "copy") return step.sources.flatMap((source) => (source.type === "path" ? [source.from] : []));
  if (step.kind !== "run") return [];
  return step.mounts.flatMap((mount) =>
    (mount.type === "bind" || mount.type === "cache") && mount.from !== undefined ? [mount.from] : [],
  );
}

/** All steps that `target` needs, each once, inputs before what reads them. */
export function sortSteps(target: Step): readonly Step[] {
  const sorted = new Set<Step>();
  const pending: { readonly step: Step; readonly ready: boolean }[] = [{ step: target, ready: false }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { step, ready } = next;
    if (sorted.has(step)) continue;
    if (ready) sorted.add(step);
    else
      pending.push(
        { step, ready: true },
        ...stepInputs(step)
          .toReversed()
          .map((input) => ({ step: input, ready: false })),
      );
  }
  return [...sorted];
}
