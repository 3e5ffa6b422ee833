import { basename, dirname } from "node:path";
import { type Entry, joinHardlinks, scanDirectory, writeTree } from "@varve/layer";

/**
 * Copies a file, a link or a directory with all beneath it to the path `to`: owners, modes, times, links among them and
 * xattrs come along; sockets do not. Directories merge; what else has the same name makes way.
 * @throws LayerError where something can't be read or made.
 */
export async function copyPath(from: string, to: string): Promise<void> {
  const [name, target] = [basename(from), basename(to)];
  const isBeneath = (path: string): boolean => path === name || path.startsWith(`${name}/`);
  const choose = (path: string): "keep" | "drop" => (isBeneath(path) ? "keep" : "drop");
  const rename = (path: string): string => `${target}${path.slice(name.length)}`;
  const entries = joinHardlinks(scanDirectory(dirname(from), { xattrs: "read", choose })).map((entry): Entry => {
    const link = entry.type === "hardlink" ? { linkname: rename(entry.linkname ?? "") } : {};
    return { ...entry, path: rename(entry.path), ...link };
  });
  await writeTree(entries, dirname(to));
}
