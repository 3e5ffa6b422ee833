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

/** Whether what a directory has not is that of lower layers, or gone. */
type View = "merged" | "opaque";

interface Diff {
  readonly directory: string;
  readonly lower: FileTree;
  readonly overlay: "trusted" | "user" | "none";
  readonly options: DiffOptions;
  readonly kept: ScannedEntry[];
  readonly whiteouts: Entry[];
}

/** What a path of the directory shows; "nothing" where it is whited out, or a socket. `isOpaque`: nothing beneath is seen through it. */
type Found =
  | { readonly kind: "nothing" }
  | { readonly kind: "entry"; readonly entry: ScannedEntry; readonly isOpaque: boolean };

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
  return diff({ directory: upper, lower, overlay: options.overlay, options, kept: [], whiteouts: [] }, "merged");
}

/** What a whole directory tree, the changed copy of `lower`, changes of it: entries as `diffUpper` gives them. */
export function diffTree(directory: string, lower: FileTree, options: DiffOptions = {}): Promise<readonly Entry[]> {
  return diff({ directory, lower, overlay: "none", options, kept: [], whiteouts: [] }, "opaque");
}

async function diff(work: Diff, view: View): Promise<readonly Entry[]> {
  await diffDirectory(work, "", view);
  return sortEntries([...joinHardlinks(work.kept), ...work.whiteouts]);
}

/** True where anything in the directory differs.  */
async function diffDirectory(work: Diff, path: string, view: View): Promise<boolean> {
  work.options.signal?.throwIfAborted();
  await setImmediate();
  const before = work.kept.length + work.whiteouts.length;
  const names = readNames(path === "" ? work.directory : `${work.directory}/${path}`);
  for (const name of names) await diffPath(work, joinPath(path, name), view);
  if (view === "opaque") {
    const present = new Set(names);
    const gone = work.lower.list(path).filter((name) => !present.has(name));
    work.whiteouts.push(...gone.map((name) => whiteout(joinPath(path, name))));
  }
  return work.kept.length + work.whiteouts.length > before;
}

async function diffPath(work: Diff, path: string, view: View): Promise<void> {
  const found = find(work, path);
  const before = work.lower.lookup(path);
  if (found.kind === "nothing") {
    if (before !== undefined) work.whiteouts.push(whiteout(path));
  } else if (found.entry.type === "directory") {
    work.kept.push(found.entry);
    const holdsChange = await diffDirectory(work, path, found.isOpaque ? "opaque" : view);
    if (!holdsChange && isSame(work, found.entry, before)) work.kept.pop();
  } else if (!isSame(work, found.entry, before)) work.kept.push(found.entry);
}

function find(work: Diff, path: string): Found {
  const file = `${work.directory}/${path}`;
  const entry = readEntry(file, path);
  if (entry === undefined) return { kind: "nothing" };
  const names = xattrNames(file);
  if (work.overlay !== "none" && isWhiteout(work.overlay, entry, names)) return { kind: "nothing" };
  const xattrs = pickXattrs(file, names);
  const isOpaque = work.overlay !== "none" && isMarkedOpaque(work.overlay, file, names);
  return { kind: "entry", entry: xattrs === undefined ? entry : { ...entry, xattrs }, isOpaque };
}

/** Kernel documentation, filesystems/overlayfs, "whiteouts and opaque directories": a device 0:0, or an empty file with an xattr. */
function isWhiteout(overlay: "trusted" | "user", entry: Entry, names: readonly string[]): boolean {
  const { type, device, size } = entry;
  if (type === "char-device") return device?.major === 0 && device.minor === 0;
  return type === "file" && size === 0 && names.includes(`${overlay}.overlay.whiteout`);
}

/** As there: the other value, "x", says that it holds whiteouts in xattrs. */
function isMarkedOpaque(overlay: "trusted" | "user", file: string, names: readonly string[]): boolean {
  const name = `${overlay}.overlay.opaque`;
  const value = names.includes(name) ? lgetxattr(file, name) : undefined;
  return value !== undefined && Buffer.from(value).toString() === "y";
}

function whiteout(path: string): Entry {
  return { path, type: "whiteout", mode: 0, uid: 0, gid: 0, size: 0, mtime: 0n };
}

function isSame(work: Diff, entry: ScannedEntry, before: Entry | undefined): boolean {
  if (before === undefined || !hasSameAttributes(entry, before)) return false;
  if (entry.type === "directory") return true;
  if (entry.size !== before.size || entry.mtime !== before.mtime) return false;
  return entry.type !== "file" || hasSameBytes(work, entry, before);
}

function hasSameAttributes(a: Entry, b: Entry): boolean {
  const isSameKind = a.type === b.type && a.linkname === b.linkname && deviceText(a) === deviceText(b);
  const isSameMode = a.mode === b.mode || a.type === "symlink";
  const isSameOwner = a.uid === b.uid && a.gid === b.gid;
  return isSameKind && isSameMode && isSameOwner && hasSameXattrs(a.xattrs ?? {}, b.xattrs ?? {});
}

function deviceText({ device }: Entry): string {
  return device === undefined ? "" : `${device.major}:${device.minor}`;
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
