import { lstatSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Entry, lgetxattr, lsetxattr, lutimens, mknod } from "@varve/layer";

const S_IFCHR = 0o020000;
const WHITEOUT_DEVICE = { major: 0, minor: 0 } as const;
/** Kernel documentation, filesystems/overlayfs: only "y" makes a directory opaque. */
const OPAQUE = Buffer.from("y");
const NOT_OPAQUE = Buffer.from("n");

/**
 * Makes an overlay's upper directory (unmounted) hold `entries`, its diff, and nothing else, so that it is what
 * extracting the layer of these entries gives: copies without a change go, for they would hide another base's files;
 * opaque directories become whiteouts of what they hide, as in the layer.
 */
export function trimUpper(upper: string, entries: readonly Entry[], xattrs: "trusted" | "user"): void {
  const kept = new Map(entries.map((entry) => [entry.path, entry]));
  const touched = new Set<string>();
  trimDirectory(upper, "", { kept, touched, opaque: `${xattrs}.overlay.opaque` });
  for (const { path, type } of entries) {
    const file = join(upper, path);
    if (type !== "whiteout" || isPresent(file)) continue;
    mknod(file, S_IFCHR, WHITEOUT_DEVICE);
    touched.add(parentOf(path));
  }
  for (const path of touched) {
    const entry = kept.get(path);
    if (entry !== undefined) lutimens(join(upper, path), entry.mtime);
  }
}

interface Trim {
  readonly kept: ReadonlyMap<string, Entry>;
  /** Directories whose modification time is no longer the diff's. */
  readonly touched: Set<string>;
  readonly opaque: string;
}

function trimDirectory(directory: string, path: string, trim: Trim): void {
  if (isOpaque(directory, trim.opaque)) lsetxattr(directory, trim.opaque, NOT_OPAQUE);
  for (const name of readdirSync(directory)) {
    const [file, below] = [join(directory, name), path === "" ? name : `${path}/${name}`];
    const entry = trim.kept.get(below);
    if (entry?.type === "directory") trimDirectory(file, below, trim);
    if (entry !== undefined) continue;
    rmSync(file, { recursive: true });
    trim.touched.add(path);
  }
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

function isPresent(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false }) !== undefined;
}

function isOpaque(directory: string, name: string): boolean {
  const value = lgetxattr(directory, name);
  return value !== undefined && Buffer.compare(value, OPAQUE) === 0;
}
