import { type BigIntStats, lstatSync, readdirSync, readlinkSync } from "node:fs";
import type { IgnoreMatcher } from "@varve/dockerfile";
import { type Entry, type EntryType, type FileTree, readXattrs, startThreads } from "@varve/layer";
import type { Digest } from "@varve/oci";
import { StepError } from "../errors.ts";
import { type FileStamp, PackedStamp, StampColumn, stampOf } from "./file-stamp.ts";
import type { PlainEntry, SeenTable } from "./seen-table.ts";

/** A directory on this machine as a build context. */
export interface ContextSource {
  readonly type: "directory";
  /** Absolute. */
  readonly path: string;
  /** What .dockerignore leaves out; undefined: nothing. */
  readonly ignore: IgnoreMatcher | undefined;
  /** Name of the ignore file, for messages. */
  readonly ignoreFile?: string;
}

/** A context as a tree, with what tells a changed file from an unchanged one. */
export interface ContextTree extends FileTree {
  readonly source: ContextSource;
  readonly children: NonNullable<FileTree["children"]>;
  /** True where .dockerignore leaves something out that was looked for. */
  isIgnored(path: string): boolean;
  /** All that was looked at so far. */
  readonly seen: () => Iterable<SeenPath>;
}

/** A file of a context, as it was looked up. */
export interface ContextFile {
  /** In the context. */
  readonly path: string;
  readonly stamp: FileStamp;
  /** What stands for it in the tree's entries. */
  readonly content: NonNullable<Entry["content"]>;
}

/** What was learnt of a path: a context shows the same for as long as all of this stays. */
export interface SeenPath {
  readonly path: string;
  /** Undefined where nothing was. */
  readonly stamp: FileStamp | undefined;
  /** Undefined also for what is nothing in an image. */
  readonly entry: Entry | undefined;
  /** Of a directory that was listed; sorted. */
  readonly names: readonly string[] | undefined;
}

/** File types of st_mode; sockets are left out, as they mean nothing in an image. */
const TYPES: ReadonlyMap<bigint, EntryType> = new Map([
  [0o100000n, "file"],
  [0o040000n, "directory"],
  [0o120000n, "symlink"],
  [0o010000n, "fifo"],
  [0o020000n, "char-device"],
  [0o060000n, "block-device"],
]);
const TYPE_MASK = 0o170000n;
/** Of so many files some are going to be read by threads. */
const MANY = 2000;

/**
 * The tree of a context directory, read as far as it is asked for and remembered. All belongs to root, as in
 * BuildKit; modes, times and links are the files' own. Excluded paths are absent, and an excluded directory is
 * present only where something in it is included again. What is as an earlier build saw it (`past`) has the digest
 * that it had then.
 * @throws StepError `CONTEXT_INVALID` from lookups, where the directory cannot be read.
 */
export function createContextTree(source: ContextSource, past?: SeenTable): ContextTree {
  const { find, open, seen } = createListings(source, past);
  return {
    source,
    isIgnored: (path) => isLeftOut(source, path),
    list(path) {
      const listing = open(path);
      return listing === undefined ? [] : listing.present.map((position) => listing.names[position]!);
    },
    *children(path) {
      const listing = open(path);
      for (const position of listing?.present ?? [])
        yield [listing!.names[position]!, listing!.looks[position]!.entry!] as const;
    },
    lookup: (path) => find(path)?.entry,
    seen,
  };
}

/** The file behind an entry of a context's tree, wherever that was placed since. */
export function fileOf({ path, content }: Pick<Entry, "path" | "content">): ContextFile {
  if (content instanceof Look) return { path: content.entry?.path ?? "", stamp: content, content };
  throw new Error(`Cannot tell where "${path}" is: it is no file of a context`);
}

/** The digest of the file behind such an entry, where it is known. */
export function knownDigest({ content }: Pick<Entry, "content">): Digest | undefined {
  return content instanceof Look ? content.entry?.digest : undefined;
}

/**
 * Tells the digest of the file behind such an entry to all who ask for it.
 * @throws StepError `CONTEXT_CHANGED` where it was read before, and was another one.
 */
export function learnDigest({ content }: Pick<Entry, "content">, digest: Digest): void {
  if (!(content instanceof Look) || content.entry === undefined) return;
  content.entry.digest ??= digest;
  if (content.entry.digest !== digest) throw contextChanged(content.path);
}

/** The error for a context in which something changed between two looks at it. */
export function contextChanged(file: string): StepError {
  return new StepError("CONTEXT_CHANGED", `Cannot use "${file}": it changed while the build read it`, {
    hint: "Build again when nothing writes to the build context",
  });
}

/** A directory that was listed. */
interface Listing {
  /** All names, sorted. */
  readonly names: readonly string[];
  /** In the order of the names; of what was looked at. Undefined where nothing was. */
  readonly looks: (Look | undefined)[];
  /** Positions of what the context has. */
  readonly present: number[];
}

interface Listings {
  /** What is in the context at `path`. */
  readonly find: (path: string) => Look | undefined;
  /** The directory that is there. */
  readonly open: (path: string) => Listing | undefined;
  readonly seen: ContextTree["seen"];
}

function createListings(source: ContextSource, past: SeenTable | undefined): Listings {
  const listings = new Map<string, Listing>();
  /** What was looked for in directories that were not listed. */
  const alone = new Map<string, Look | undefined>();
  const look = createLooking(source.path, past);
  const load = (path: string): Look | undefined => {
    const slash = path.lastIndexOf("/");
    const listing = path === "" ? undefined : listings.get(path.slice(0, Math.max(0, slash)));
    if (listing !== undefined) return listing.looks[findName(listing.names, path.slice(slash + 1))];
    if (!alone.has(path)) alone.set(path, look(path));
    return alone.get(path);
  };
  /** `found` looks there; it is not asked for what is left out with all below it. */
  const isPresent = (path: string, found: () => Look | undefined): boolean => {
    if (!isLeftOut(source, path)) return found()?.entry !== undefined;
    if (source.ignore?.canSkipDirectory(path) === true || found()?.entry?.type !== "directory") return false;
    return read(path).present.length > 0;
  };
  const read = (path: string): Listing => {
    const known = listings.get(path);
    if (known !== undefined) return known;
    const names = readNames(placeOf(source.path, path));
    const listing: Listing = { names, looks: [], present: [] };
    listings.set(path, listing);
    for (const [position, name] of names.entries()) {
      const child = join(path, name);
      if (isPresent(child, () => (listing.looks[position] = look(child)))) listing.present.push(position);
    }
    return listing;
  };
  return {
    find: (path) => (isPresent(path, () => load(path)) ? load(path) : undefined),
    open: (path) => listings.get(path) ?? (load(path)?.entry?.type === "directory" ? read(path) : undefined),
    *seen() {
      for (const [path, stamp] of alone) yield { path, stamp, entry: stamp?.entry, names: listings.get(path)?.names };
      for (const [directory, { names, looks }] of listings) {
        for (const [position, name] of names.entries()) {
          if (!(position in looks)) continue;
          const stamp = looks[position];
          const entry = stamp?.entry;
          const path = entry?.path ?? join(directory, name);
          const listing = entry?.type === "directory" ? listings.get(path) : undefined;
          yield { path, stamp, entry, names: listing?.names };
        }
      }
    },
  };
}

function join(directory: string, name: string): string {
  return directory === "" ? name : `${directory}/${name}`;
}

/** The position of `name`; -1 where it is missing. */
function findName(names: readonly string[], name: string): number {
  let [from, end] = [0, names.length];
  while (from < end) {
    const middle = (from + end) >> 1;
    if (names[middle]! < name) from = middle + 1;
    else end = middle;
  }
  return names[from] === name ? from : -1;
}

/** True where the ignore file of a context leaves `path` out. */
export function isLeftOut({ ignore }: ContextSource, path: string): boolean {
  return path !== "" && ignore?.matches(path).excluded === true;
}

/** What lstat said of a path, and its entry, whose content it is: one object takes less than three. */
class Look extends PackedStamp {
  readonly #root: string;
  /** Undefined for a socket. */
  entry: DraftEntry | undefined;

  constructor(root: string, stamps: StampColumn, position: number) {
    super(stamps, position);
    this.#root = root;
  }

  /** On this machine. Put together when it is asked for: of a large context all are tens of megabytes. */
  get path(): string {
    return placeOf(this.#root, this.entry?.path ?? "");
  }
}

/** Stamps that are kept together. */
const TOGETHER = 1024;

/** Looks at what stands at paths in a context; what `past` has seen in this build is not looked at again. */
function createLooking(root: string, past: SeenTable | undefined): (path: string) => Look | undefined {
  const keep = createKeeping(root);
  let count = 0;
  return (path) => {
    const file = placeOf(root, path);
    const row = past?.find(path) ?? -1;
    const verified = past?.verifiedStamp(row);
    const stat = verified === undefined ? readStat(file) : undefined;
    const stamp = stat === undefined ? verified : stampOf(stat);
    if (stamp === undefined) return undefined;
    const look = keep(stamp);
    const plain = past?.plainEntry(row, look);
    if (plain !== undefined) look.entry = makeEntry(plain, { path, look });
    else if (stat !== undefined) look.entry = readEntry(stat, { path, file, look, digest: past?.digest(row, look) });
    count += 1;
    if (count === MANY) startThreads();
    return look;
  };
}

function readStat(file: string): BigIntStats | undefined {
  return unlessMissing(() => lstatSync(file, { bigint: true }), { file, missing: undefined });
}

function createKeeping(root: string): (stamp: FileStamp) => Look {
  let stamps = new StampColumn(new BigInt64Array(0));
  let position = 0;
  return (stamp) => {
    if (position === stamps.length) {
      stamps = new StampColumn(new BigInt64Array(4 * TOGETHER));
      position = 0;
    }
    stamps.set(position, stamp);
    position += 1;
    return new Look(root, stamps, position - 1);
  };
}

function placeOf(root: string, path: string): string {
  return path === "" ? root : `${root}/${path}`;
}

interface LookedAt {
  /** In the context. */
  readonly path: string;
  /** On this machine. */
  readonly file: string;
  readonly look: Look;
  /** Of a file's bytes, where it is known. */
  readonly digest: Digest | undefined;
}

function readEntry(stat: BigIntStats, { path, file, look, digest }: LookedAt): DraftEntry | undefined {
  const type = TYPES.get(stat.mode & TYPE_MASK);
  if (type === undefined) return undefined;
  const entry = makeEntry({ type, mode: Number(stat.mode & 0o7777n), digest }, { path, look });
  if (type === "file" && stat.nlink > 1n) entry.inode = `${stat.dev}:${stat.ino}`;
  if (type === "symlink") entry.linkname = readlinkSync(file);
  if (type === "char-device" || type === "block-device") entry.device = deviceNumber(stat.rdev);
  const xattrs = type === "symlink" ? undefined : readXattrs(file);
  if (xattrs !== undefined) entry.xattrs = xattrs;
  return entry;
}

/** All in one literal: what is added to an object later takes an array of its own. */
function makeEntry(
  { type, mode, digest }: Omit<PlainEntry, "type"> & { readonly type: EntryType },
  { path, look }: Pick<LookedAt, "path" | "look">,
): DraftEntry {
  const { size, mtime } = look;
  return type === "file"
    ? { path, type, mode, uid: 0, gid: 0, size: Number(size), mtime, content: look, digest }
    : { path, type, mode, uid: 0, gid: 0, size: 0, mtime };
}

type DraftEntry = { -readonly [Name in keyof Entry]: Entry[Name] };

/** Linux packs major and minor numbers into `rdev` as gnu_dev_major(3) says. */
function deviceNumber(rdev: bigint): { readonly major: number; readonly minor: number } {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & ~0xffn);
  return { major: Number(major), minor: Number(minor & 0xffff_ffffn) };
}

function readNames(file: string): string[] {
  const names = unlessMissing(() => readdirSync(file), { file, missing: [] });
  const damaged = names.find((name) => name.includes("\uFFFD"));
  if (damaged !== undefined) {
    throw new StepError("CONTEXT_INVALID", `Cannot read the names in "${file}": "${damaged}" is not valid UTF-8`, {
      hint: "Rename the file, or leave it out with .dockerignore",
    });
  }
  return names.toSorted();
}

function unlessMissing<T>(read: () => T, { file, missing }: { readonly file: string; readonly missing: T }): T {
  try {
    return read();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ENAMETOOLONG") return missing;
    throw new StepError("CONTEXT_INVALID", `Cannot read "${file}" of the build context: ${code ?? String(cause)}`, {
      cause,
      hint: "Make it readable, or leave it out with .dockerignore",
    });
  }
}
