import type { FileSet, RunMount, RunStep } from "@varve/graph";
import type { ContextTree } from "../context/context-tree.ts";
import { contextInput } from "../copy/context-input.ts";
import { explainMissing } from "../copy/explain-missing.ts";
import { type SelectedRoot, selectPath } from "../copy/selection.ts";
import type { StepInput } from "../explain/current-build.ts";
import type { Session } from "../session.ts";

/** What a step's bind mounts read, in order. Cache mounts, tmpfs, secrets and ssh shape no key. */
export async function mountInputs(step: RunStep, session: Session): Promise<readonly StepInput[]> {
  const binds = step.mounts.filter((mount): mount is Extract<RunMount, { type: "bind" }> => mount.type === "bind");
  return Promise.all(binds.map((mount) => fileSetInput(mount.from, mount.source, session)));
}

async function fileSetInput(from: FileSet, source: string, session: Session): Promise<StepInput> {
  if (from.type === "step") return { type: "step", name: source, step: from.step };
  const context = session.context(from.name);
  const select = (tree: ContextTree): readonly SelectedRoot[] => [
    explainMissing(() => selectPath(tree, source), { verb: "mount", path: source, from, tree }),
  ];
  const selection = await context.select({ words: ["mount", source], select });
  return contextInput({ name: source, selection, source: context.source });
}
