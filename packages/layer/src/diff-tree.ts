import { setImmediate } from "node:timers/promises";
import type { Entry, FileTree } from "./entry.ts";
import { joinHardlinks } from "./join-hardlinks.ts";
import { sortEntries } from "./order-entries.ts";
import { joinPath } from "./root-paths.ts";
import { readEntry, readNames, type ScannedEntry } from "./scan-directory.ts";
import { digestFile } from "./tree-digest.ts";
import { pickXattrs, xattrNames } from "./xattrs.ts";
import { lgetxattr } from "./libc.ts";

export interface DiffOptions {
  readonly signal?: AbortSignal;
  /**
   * Nanoseconds since 1970: a file with an older ctime is taken as unchanged without being read, where size and mtime
   * are the lower one's. Without it, a file that looks unchanged is read and its digest compared.
   */
  readonly unchangedBefore?: bigint;
}

interface Diff {
  readonly directory: string;
  readonly lower: FileTree;
  readonly overlay: "trusted" | "user" | "none";
  readonly options: DiffOptions;
  readonly kept: ScannedEntry[];
  readonly whiteouts: Entry[];
}

/** What stands at a path of the directory: something that is seen, or a whiteout. */
interface Found {
  readonly entry: ScannedEntry;
  readonly kind: "entry" | "whiteout";
  /** Whether nothing beneath is seen through the directory. */
  readonly isOpaque: boolean;
}

/**
 * What an overlayfs upper directory changes of the tree beneath it, as a layer's entries in order. Copies without a
 * change are left out; a directory is kept if it changed (its mtime does not count) or holds something that is kept;
 * an opaque directory becomes whiteouts of what the lower one has and it has not; hard links among what is kept are
 * hard links; sockets and overlayfs' own xattrs are left out, as is the root itself.
 * `overlay`: whose xattrs mark opaque directories; "user" for mounts with `userxattr`.
 * The upper directory must not be in use, and the mount must not use redirect_dir, metacopy or index.
 */
export function diffUpper(
  upper: string,
  lower: FileTree,
  options: DiffOptions & { readonly overlay: "trusted" | "user" },
): Promise<readonly Entry[]> {
  return diff({ directory: upper, lower, overlay: options.overlay, options, kept: [], whiteouts: [] }, false);
}

/** What a whole directory tree, the changed copy of `lower`, changes of it: entries as `diffUpper` gives them. */
export function diffTree(directory: string, lower: FileTree, options: DiffOptions = {}): Promise<readonly Entry[]> {
  return diff({ directory, lower, overlay: "none", options, kept: [], whiteouts: [] }, true);
}

async function diff(work: Diff, isOpaque: boolean): Promise<readonly Entry[]> {
  await diffDirectory(work, "", isOpaque);
  return sortEntries([...joinHardlinks(work.kept), ...work.whiteouts]);
}

/** True where anything in the directory differs. `isOpaque`: what the directory has not, is gone. */
async function diffDirectory(work: Diff, path: string, isOpaque: boolean): Promise<boolean> {
  work.options.signal?.throwIfAborted();
  await setImmediate();
  const before = work.kept.length + work.whiteouts.length;
  const names = readNames(path === "" ? work.directory : `${work.directory}/${path}`);
  for (const name of names) await diffPath(work, joinPath(path, name), isOpaque);
  if (isOpaque) {
    const present = new Set(names);
    const gone = work.lower.list(path).filter((name) => !present.has(name));
    work.whiteouts.push(...gone.map((name) => whiteout(joinPath(path, name))));
  }
  return work.kept.length + work.whiteouts.length > before;
}

async function diffPath(work: Diff, path: string, isOpaque: boolean): Promise<void> {
  const found = find(work, path);
  const before = work.lower.lookup(path);
  if (found === undefined || found.kind === "whiteout") {
    if (before !== undefined) work.whiteouts.push(whiteout(path));
    return;
  }
  const { entry } = found;
  if (entry.type !== "directory") {
    if (before === undefined || !isSame(work, entry, before)) work.kept.push(entry);
    return;
  }
  work.kept.push(entry);
  const holdsChange = await diffDirectory(work, path, isOpaque || found.isOpaque);
  if (!holdsChange && before !== undefined && isSame(work, entry, before)) work.kept.pop();
}

/** Undefined for a socket. */
function find(work: Diff, path: string): Found | undefined {
  const file = `${work.directory}/${path}`;
  const entry = readEntry(file, path);
  if (entry === undefined) return undefined;
  if (work.overlay !== "none" && isWhiteoutNode(entry)) return { entry, kind: "whiteout", isOpaque: false };
  const names = xattrNames(file);
  const xattrs = names.length === 0 ? undefined : pickXattrs(file, names);
  const full = xattrs === undefined ? entry : { ...entry, xattrs };
  if (work.overlay === "none") return { entry: full, kind: "entry", isOpaque: false };
  const isWhiteout = entry.type === "file" && entry.size === 0 && names.includes(`${work.overlay}.overlay.whiteout`);
  const isOpaque = entry.type === "directory" && isMarkedOpaque(work.overlay, file, names);
  return { entry: full, kind: isWhiteout ? "whiteout" : "entry", isOpaque };
}

/** Kernel documentation, filesystems/overlayfs, "whiteouts and opaque directories": "x" says that it holds whiteouts in xattrs. */
function isMarkedOpaque(overlay: "trusted" | "user", file: string, names: readonly string[]): boolean {
  const name = `${overlay}.overlay.opaque`;
  const value = names.includes(name) ? lgetxattr(file, name) : undefined;
  return value !== undefined && Buffer.from(value).toString() === "y";
}

function isWhiteoutNode({ type, device }: Entry): boolean {
  return type === "char-device" && device?.major === 0 && device.minor === 0;
}

function whiteout(path: string): Entry {
  return { path, type: "whiteout", mode: 0, uid: 0, gid: 0, size: 0, mtime: 0n };
}

function isSame(work: Diff, entry: ScannedEntry, before: Entry): boolean {
  if (!hasSameAttributes(entry, before)) return false;
  if (entry.type === "directory") return true;
  if (entry.size !== before.size || entry.mtime !== before.mtime) return false;
  return entry.type !== "file" || hasSameBytes(work, entry, before);
}

function hasSameAttributes(a: Entry, b: Entry): boolean {
  const isSameNode = a.device?.major === b.device?.major && a.device?.minor === b.device?.minor;
  const isSameOwner = a.uid === b.uid && a.gid === b.gid;
  if (a.type !== b.type || a.linkname !== b.linkname || !isSameNode || !isSameOwner) return false;
  return (a.mode === b.mode || a.type === "symlink") && hasSameXattrs(a.xattrs ?? {}, b.xattrs ?? {});
}

type Xattrs = Readonly<Record<string, Uint8Array>>;

function hasSameXattrs(a: Xattrs, b: Xattrs): boolean {
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return false;
  return names.every((name) => hasSameXattr(a[name], b[name]));
}

function hasSameXattr(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a !== undefined && b !== undefined && Buffer.compare(a, b) === 0;
}

function hasSameBytes(work: Diff, entry: ScannedEntry, before: Entry): boolean {
  const { unchangedBefore } = work.options;
  if (unchangedBefore !== undefined && entry.identity.ctime < unchangedBefore) return true;
  const digest = before.digest ?? (before.content === undefined ? undefined : digestFile(before));
  return digest !== undefined && digestFile(entry) === digest;
}
