import { join } from "node:path";
import { type Entry, indexArchive, resolvePath } from "@varve/layer";
import { StepError } from "../errors.ts";
import type { Session } from "../session.ts";
import { makeDirectories, type Placement, resolveDestination } from "./place.ts";
import { cleanPath } from "./selection.ts";
import type { StagedTree } from "./staged-tree.ts";

/**
 * Unpacks a tar archive into the destination, which becomes a directory. Entries keep their owners and modes, as in
 * BuildKit: `--chown` and `--chmod` are for the directories that are made. Parents that the archive does not name
 * belong to root. Names and links stay below the destination's root.
 */
export async function placeArchive(tree: StagedTree, archive: Entry, { placement, session }: { readonly placement: Placement; readonly session: Session }): Promise<void> {
  const content = archive.content;
  if (content === undefined || "bytes" in content) throw new Error(`Cannot unpack "${archive.path}": it is no file of this machine`);
  const target = resolveDestination(tree, placement.destination);
  makeDirectories(tree, target, placement);
  const scratch = await session.options.store.makeTemporaryDirectory("tmp");
  const entries = await indexArchive(content.path, { temporary: join(scratch, "archive.tar") });
  const implied = { owner: undefined, chmod: undefined, createdTime: placement.createdTime };
  for (const entry of entries) placeArchiveEntry(tree, entry, { target, implied });
}

interface ArchivePlace {
  readonly target: string;
  readonly implied: Omit<Placement, "destination">;
}

function placeArchiveEntry(tree: StagedTree, entry: Entry, { target, implied }: ArchivePlace): void {
  const path = cleanPath(entry.path);
  if (path === "") return;
  const parent = path.slice(0, Math.max(0, path.lastIndexOf("/")));
  const directory = resolvePath(tree, within(target, parent), { followLast: true }).path;
  makeDirectories(tree, directory, implied);
  const place = within(directory, path.slice(path.lastIndexOf("/") + 1));
  if (entry.type !== "hardlink") tree.write({ ...entry, path: place });
  else tree.write(linkEntry(tree, { ...entry, path: place }, within(target, cleanPath(entry.linkname ?? ""))));
}

/** A hard link to a file of this archive; to a file of the base, the same as a copy of it would be. */
function linkEntry(tree: StagedTree, entry: Entry, linkname: string): Entry {
  const linked = tree.lookup(linkname);
  if (linked?.type === "hardlink" && tree.isWritten(linkname)) return { ...entry, linkname: linked.linkname ?? linkname };
  if (linked !== undefined && tree.isWritten(linkname)) return { ...entry, linkname };
  throw new StepError("COPY_INVALID", `Cannot unpack "${entry.path}": it is a hard link to "${linkname}", which is not in the archive`);
}

function within(directory: string, name: string): string {
  if (name === "") return directory;
  return directory === "" ? name : `${directory}/${name}`;
}
