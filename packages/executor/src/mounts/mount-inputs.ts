import type { FileSet, RunMount, RunStep, Step } from "@varve/graph";
import { type Entry, treeDigest } from "@varve/layer";
import type { Digest } from "@varve/oci";
import { selectSource } from "../copy/selection.ts";
import type { Rootfs } from "../rootfs.ts";
import type { Session } from "../session.ts";

/** Digests of the file sets that a step's bind mounts read, in order. Cache mounts, tmpfs, secrets and ssh shape no key. */
export async function mountInputs(
  step: RunStep,
  session: Session,
  resolve: (step: Step) => Promise<Rootfs>,
): Promise<readonly Digest[]> {
  const binds = step.mounts.filter((mount): mount is Extract<RunMount, { type: "bind" }> => mount.type === "bind");
  return Promise.all(binds.map((mount) => fileSetDigest(mount.from, mount.source, { session, resolve })));
}

async function fileSetDigest(
  from: FileSet,
  source: string,
  { session, resolve }: { readonly session: Session; readonly resolve: (step: Step) => Promise<Rootfs> },
): Promise<Digest> {
  if (from.type === "step") return (await resolve(from.step)).digest;
  const { tree, digests } = await session.context(from.name);
  const [root] = selectSource(tree, escapeWildcards(source), { exclude: [], parents: false });
  if (root === undefined) throw new Error(`Cannot digest "${source}": nothing was selected`);
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

/** A mount's source is a path, whatever characters it has. */
export function escapeWildcards(path: string): string {
  return path.replaceAll(/[\\*?[]/g, String.raw`\$&`);
}
