import { lstatSync, readdirSync, readlinkSync, type BigIntStats } from "node:fs";
import type { Entry, EntryType } from "./entry.ts";
import { LayerError } from "./errors.ts";
import { orderTurns } from "./order-entries.ts";
import { readXattrs } from "./xattrs.ts";

/** A path of a directory tree, with what tells whether its file is still the one that was looked at. */
export interface ScannedEntry extends Entry {
  readonly identity: FileIdentity;
}

/** Device, inode and times of an inode; times in nanoseconds since 1970. */
export interface FileIdentity {
  readonly device: bigint;
  readonly inode: bigint;
  readonly ctime: bigint;
  /** Names that the inode has. */
  readonly links: number;
}

/** What happens to a path: it is kept; it is dropped with all beneath it; it is kept only if something beneath it is. */
export type ScanChoice = "keep" | "drop" | "pass";

export interface ScanOptions {
  /** Asked once for each path, after its kind is known and before its xattrs or what it holds is read. Default: "keep". */
  readonly choose?: (path: string, kind: "directory" | "other") => ScanChoice;
  /** Whether xattrs are read, which costs one more system call for each entry. Default: "skip". */
  readonly xattrs?: "read" | "skip";
  readonly signal?: AbortSignal;
}

interface Scanned {
  readonly entry: ScannedEntry;
  readonly choice: ScanChoice;
}

interface Scan {
  readonly root: string;
  readonly options: ScanOptions;
  readonly entries: ScannedEntry[];
}

/**
 * Every path beneath a directory, in the order of a layer; the directory itself left out. Links are not followed, hard
 * links are files each (see `joinHardlinks`), sockets are left out. Files have `content`, none has a digest.
 * @throws LayerError `SOURCE_MISSING` where the directory is none; `ENTRY_UNSUPPORTED` where a name is not UTF-8;
 * `PERMISSION_MISSING` where something can't be read.
 */
export function scanDirectory(directory: string, options: ScanOptions = {}): readonly ScannedEntry[] {
  const scan: Scan = { root: directory, options, entries: [] };
  scanChildren(scan, "");
  return scan.entries;
}

/** The names in a directory. @throws LayerError as `scanDirectory` does. */
export function readNames(directory: string): readonly string[] {
  try {
    const names = readdirSync(directory);
    if (names.some((name) => name.includes("\ufffd"))) checkNames(directory);
    return names;
  } catch (error) {
    throw asLayerError(error, directory);
  }
}

/** What stands at `path`, without following a link; undefined for a socket, which no layer can hold. */
export function readEntry(file: string, path: string): ScannedEntry | undefined {
  const stats = statFile(file);
  const type = typeOf(stats);
  if (type === undefined) return undefined;
  const entry = {
    path,
    type,
    mode: Number(stats.mode) & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    size: type === "file" ? Number(stats.size) : 0,
    mtime: stats.mtimeNs,
    identity: { device: stats.dev, inode: stats.ino, ctime: stats.ctimeNs, links: Number(stats.nlink) },
  };
  if (type === "directory") return entry;
  if (type === "file") return { ...entry, content: { path: file } };
  if (type === "symlink") return { ...entry, mode: 0o777, linkname: readTarget(file) };
  return type === "fifo" ? entry : { ...entry, device: deviceOf(stats.rdev) };
}

/** The same entry with the xattrs of its file, where it has any. */
function withXattrs<T extends Entry>(entry: T, file: string): T {
  const xattrs = readXattrs(file);
  return xattrs === undefined ? entry : { ...entry, xattrs };
}

function scanChildren(scan: Scan, directory: string): void {
  scan.options.signal?.throwIfAborted();
  const found = scanNames(scan, directory);
  const places = new Map<string, number>();
  for (const turn of orderTurns(found.keys(), (name) => found.get(name)?.entry.type === "directory")) {
    const isSelf = !turn.endsWith("/");
    const name = isSelf ? turn : turn.slice(0, -1);
    const scanned = found.get(name);
    if (scanned === undefined) continue;
    if (!isSelf) scanBeneath(scan, scanned, places.get(name));
    else places.set(name, scan.entries.push(scanned.entry) - 1);
  }
}

function scanNames(scan: Scan, directory: string): ReadonlyMap<string, Scanned> {
  const found = new Map<string, Scanned>();
  const prefix = directory === "" ? "" : `${directory}/`;
  for (const name of readNames(directory === "" ? scan.root : `${scan.root}/${directory}`)) {
    const scanned = scanOne(scan, prefix + name);
    if (scanned !== undefined) found.set(name, scanned);
  }
  return found;
}

/** A directory that is only passed goes again where nothing beneath it was kept; it stands at `place`. */
function scanBeneath(scan: Scan, { entry, choice }: Scanned, place: number | undefined): void {
  const before = scan.entries.length;
  scanChildren(scan, entry.path);
  const isEmpty = scan.entries.length === before;
  if (choice === "pass" && isEmpty && place !== undefined) scan.entries.splice(place, 1);
}

function scanOne(scan: Scan, path: string): Scanned | undefined {
  const file = `${scan.root}/${path}`;
  const entry = readEntry(file, path);
  if (entry === undefined) return undefined;
  const isDirectory = entry.type === "directory";
  const choice = scan.options.choose?.(path, isDirectory ? "directory" : "other") ?? "keep";
  if (choice === "drop" || (choice === "pass" && !isDirectory)) return undefined;
  return { entry: scan.options.xattrs === "read" ? withXattrs(entry, file) : entry, choice };
}

function statFile(file: string): BigIntStats {
  try {
    return lstatSync(file, { bigint: true });
  } catch (error) {
    throw asLayerError(error, file);
  }
}

function typeOf(stats: BigIntStats): EntryType | undefined {
  switch (Number(stats.mode) & 0o170000) {
    case 0o100000:
      return "file";
    case 0o040000:
      return "directory";
    case 0o120000:
      return "symlink";
    case 0o020000:
      return "char-device";
    case 0o060000:
      return "block-device";
    case 0o010000:
      return "fifo";
    default:
      return undefined;
  }
}

/** glibc, sysmacros.h: the bits of a device number. */
function deviceOf(number: bigint): { readonly major: number; readonly minor: number } {
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & 0xfffff000n);
  const minor = (number & 0xffn) | ((number >> 12n) & 0xffffff00n);
  return { major: Number(major), minor: Number(minor) };
}

function readTarget(file: string): string {
  const target = readlinkSync(file);
  if (target.includes("\ufffd") && !readlinkSync(file, "buffer").equals(Buffer.from(target))) {
    throw new LayerError("ENTRY_UNSUPPORTED", `Cannot read symlink "${file}": its target is not UTF-8`, { path: file });
  }
  return target;
}

function checkNames(directory: string): void {
  for (const name of readdirSync(directory, "buffer")) {
    if (name.equals(Buffer.from(name.toString()))) continue;
    throw new LayerError(
      "ENTRY_UNSUPPORTED",
      `Cannot read "${directory}": the name "${name.toString()}" in it is not UTF-8`,
      {
        path: directory,
        hint: "Rename the file",
      },
    );
  }
}

function asLayerError(error: unknown, path: string): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === undefined || error instanceof LayerError) return error;
  const isMissing = code === "ENOENT" || code === "ENOTDIR";
  return new LayerError(isMissing ? "SOURCE_MISSING" : "PERMISSION_MISSING", `Cannot read "${path}": ${message}`, {
    path,
    cause: error,
  });
}
