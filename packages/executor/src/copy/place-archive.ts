import { type Entry, indexArchive, resolvePath } from "@varve/layer";
import { StepError } from "../errors.ts";
import type { Session } from "../session.ts";
import { makeDirectories, type Placement, resolveDestination } from "./place.ts";
import { cleanPath } from "./selection.ts";
import type { StagedTree } from "./staged-tree.ts";

/** The entries of the tar archive behind `file`, or undefined where it is none. Contents stay readable as long as the store is open. */
export async function openArchive(file: Entry, { options }: Session): Promise<readonly Entry[] | undefined> {
  const content = file.content;
  if (file.type !== "file" || content === undefined || "bytes" in content) return undefined;
  const directory = await options.store.makeTemporaryDirectory("tmp");
  return (await indexArchive(content.path, { directory, signal: options.signal }))?.entries;
}

/**
 * Unpacks an archive into the destination, which becomes a directory. Entries keep their owners and modes, as in
 * BuildKit: `--chown` and `--chmod` are for the directories that are made. Parents that the archive does not name
 * belong to root. Names and links stay below the destination's root.
 */
export function placeArchive(tree: StagedTree, entries: readonly Entry[], placement: Placement): void {
  const target = resolveDestination(tree, placement.destination);
  makeDirectories(tree, target, placement);
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

/** A hard link to a file that this copy wrote; what the link says of owner, mode and time goes for the file, as tar has it. */
function linkEntry(tree: StagedTree, entry: Entry, linkname: string): Entry {
  const linked = tree.isWritten(linkname) ? tree.lookup(linkname) : undefined;
  const path = linked?.type === "hardlink" ? (linked.linkname ?? linkname) : linkname;
  const file = tree.isWritten(path) ? tree.lookup(path) : undefined;
  if (file?.type !== "file") {
    throw new StepError(
      "COPY_INVALID",
      `Cannot unpack "${entry.path}": it is a hard link to "${linkname}", which is no file of the archive`,
    );
  }
  tree.write({ ...file, mode: entry.mode, uid: entry.uid, gid: entry.gid, mtime: entry.mtime });
  return { ...entry, linkname: path };
}

function within(directory: string, name: string): string {
  if (name === "") return directory;
  return directory === "" ? name : `${directory}/${name}`;
}
