import type { FileSet, RunMount, RunStep } from "@varve/graph";
import { type Entry, treeDigest } from "@varve/layer";
import { contextInput } from "../copy/context-input.ts";
import { selectPath } from "../copy/selection.ts";
import type { StepInput } from "../explain/current-build.ts";
import type { Session } from "../session.ts";

/** What a step's bind mounts read, in order. Cache mounts, tmpfs, secrets and ssh shape no key. */
export async function mountInputs(step: RunStep, session: Session): Promise<readonly StepInput[]> {
  const binds = step.mounts.filter((mount): mount is Extract<RunMount, { type: "bind" }> => mount.type === "bind");
  return Promise.all(binds.map((mount) => fileSetInput(mount.from, mount.source, session)));
}

async function fileSetInput(from: FileSet, source: string, session: Session): Promise<StepInput> {
  if (from.type === "step") return { type: "step", name: source, step: from.step };
  const { tree, digests } = await session.context(from.name);
  const root = selectPath(tree, source);
  const top = root.entry.path;
  const children: Entry[] = root.children.map((child) =>
    digests.withDigest(top === "" ? child.path : `${top}/${child.path}`, child),
  );
  await digests.save();
  const entry = digests.withDigest(top, root.entry);
  const digest = await treeDigest([
    { ...entry, path: "root" },
    ...children.map((child) => ({ ...child, path: `root/${child.path}` })),
  ]);
  return contextInput({ name: source, digest, roots: [{ ...root, entry, children }], tree });
}
