import { statSync } from "node:fs";

export type MountPointKind = "directory" | "file";

/** What a mount goes onto: only a bind mount of something that is no directory wants a file. */
export function mountPointKind(type: string, source: string): MountPointKind {
  return type === "bind" && !statSync(source).isDirectory() ? "file" : "directory";
}
