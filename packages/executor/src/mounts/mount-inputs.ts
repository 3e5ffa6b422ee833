import type { FileSet, RunMount, RunStep, Step } from "@varve/graph";
import { type Entry, treeDigest } from "@varve/layer";
import type { Digest } from "@varve/oci";
import { selectPath } from "../copy/selection.ts";
import type { Session } from "../session.ts";

/**
 * What a step's bind mounts read, in order: a digest of the files, or the step whose rootfs they are from. Cache
 * mounts, tmpfs, secrets and ssh shape no key.
 */
export async function mountInputs(step: RunStep, session: Session): Promise<readonly (Digest | Step)[]> {
  const binds = step.mounts.filter((mount): mount is Extract<RunMount, { type: "bind" }> => mount.type === "bind");
  return Promise.all(binds.map((mount) => fileSetInput(mount.from, mount.source, session)));
}

async function fileSetInput(from: FileSet, source: string, session: Session): Promise<Digest | Step> {
  if (from.type === "step") return from.step;
  const { tree, digests } = await session.context(from.name);
  const root = selectPath(tree, source);
  const top = root.entry.path;
  const children: Entry[] = root.children.map((child) =>
    digests.withDigest(top === "" ? child.path : `${top}/${child.path}`, child),
  );
  await digests.save();
  return treeDigest([
    { ...digests.withDigest(top, root.entry), path: "root" },
    ...children.map((child) => ({ ...child, path: `root/${child.path}` })),
  ]);
}
