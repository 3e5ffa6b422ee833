import { lstatSync, readlinkSync } from "node:fs";
import { join } from "node:path";

/** As the kernel counts: path_resolution(7). */
const MAX_LINKS = 40;

/**
 * The names that lead from `rootfs` to `target`, with the symlinks on the way followed as a process in `rootfs` would,
 * so never out of it. What does not exist is taken as it is.
 * @throws Error where links go in circles.
 */
export function resolveInRoot(rootfs: string, target: string): readonly string[] {
  const pending = target.split("/").toReversed();
  const resolved: string[] = [];
  let links = 0;
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (name === "..") resolved.pop();
    if (name === "" || name === "." || name === "..") continue;
    const link = readLink(join(rootfs, ...resolved, name));
    if (link === undefined) {
      resolved.push(name);
      continue;
    }
    links += 1;
    if (links > MAX_LINKS) throw new Error(`Cannot resolve "${target}": too many symbolic links`);
    if (link.startsWith("/")) resolved.length = 0;
    pending.push(...link.split("/").toReversed());
  }
  return resolved;
}

function readLink(path: string): string | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true ? readlinkSync(path) : undefined;
}
