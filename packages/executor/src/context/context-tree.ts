import { type BigIntStats, lstatSync, readdirSync, readlinkSync } from "node:fs";
import type { IgnoreMatcher } from "@varve/dockerfile";
import { type Entry, type EntryType, type FileTree, readXattrs, startThreads } from "@varve/layer";
import { StepError } from "../errors.ts";
import { type FileStamp, PackedStamp, StampColumn, stampOf } from "./file-stamp.ts";

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
  /** What is behind a file's entry of this tree, wherever that was placed since. */
  fileOf(entry: Entry): ContextFile;
  /** True where .dockerignore leaves something out that was looked for. */
  isIgnored(path: string): boolean;
  /** All that was looked at so far. */
  seen(): Iterable<SeenPath>;
}

/** A file of a context, as it was looked up. */
export interface ContextFile {
  /** In the context. */
  readonly path: string;
  readonly stamp: FileStamp;
  /** What its digest is known by where it is read together with others. */
  readonly content?: Entry["content"] | undefined;
}

/** What was learnt of a path: a context shows the same for as long as all of this stays. */
export interface SeenPath {
  readonly path: string;
  /** Undefined where nothing was. */
  readonly stamp: FileStamp | undefined;
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
 * present only where something in it is included again.
 * @throws StepError `CONTEXT_INVALID` from lookups, where the directory cannot be read.
 */
export function createContextTree(source: ContextSource): ContextTree {
  const { find, open, seen } = createListings(source);
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
    fileOf({ path, content }) {
      if (!(content instanceof Look)) throw new Error(`Cannot tell where "${path}" is: it is no file of this context`);
      return { path: content.entry?.path ?? "", stamp: content, content };
    },
    seen,
  };
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

function createListings(source: ContextSource): Listings {
  const listings = new Map<string, Listing>();
  /** What was looked for in directories that were not listed. */
  const alone = new Map<string, Look | undefined>();
  const look = createLooking(source.path);
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
      for (const [path, stamp] of alone) yield { path, stamp, names: listings.get(path)?.names };
      for (const [directory, { names, looks }] of listings) {
        for (const [position, name] of names.entries()) {
          if (!(position in looks)) continue;
          const stamp = looks[position];
          const path = stamp?.entry?.path ?? join(directory, name);
          const listing = stamp?.entry?.type === "directory" ? listings.get(path) : undefined;
          yield { path, stamp, names: listing?.names };
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
  entry: Entry | undefined;

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

/** Looks at what stands at paths in a context. */
function createLooking(root: string): (path: string) => Look | undefined {
  let stamps = new StampColumn(new BigInt64Array(0));
  let position = 0;
  let count = 0;
  return (path) => {
    const file = placeOf(root, path);
    const stat = unlessMissing(() => lstatSync(file, { bigint: true }), { file, missing: undefined });
    if (stat === undefined) return undefined;
    if (position === stamps.length) {
      stamps = new StampColumn(new BigInt64Array(4 * TOGETHER));
      position = 0;
    }
    stamps.set(position, stampOf(stat));
    const look = new Look(root, stamps, position);
    look.entry = readEntry(stat, { path, file, look });
    position += 1;
    count += 1;
    if (count === MANY) startThreads();
    return look;
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
}

function readEntry(stat: BigIntStats, { path, file, look }: LookedAt): Entry | undefined {
  const type = TYPES.get(stat.mode & TYPE_MASK);
  if (type === undefined) return undefined;
  const mtime = stat.mtimeNs;
  const mode = Number(stat.mode & 0o7777n);
  // All in one literal: what is added to an object later takes an array of its own.
  const entry: DraftEntry =
    type === "file"
      ? { path, type, mode, uid: 0, gid: 0, size: Number(stat.size), mtime, content: look, digest: undefined }
      : { path, type, mode, uid: 0, gid: 0, size: 0, mtime };
  if (type === "file" && stat.nlink > 1n) entry.inode = `${stat.dev}:${stat.ino}`;
  if (type === "symlink") entry.linkname = readlinkSync(file);
  if (type === "char-device" || type === "block-device") entry.device = deviceNumber(stat.rdev);
  const xattrs = type === "symlink" ? undefined : readXattrs(file);
  if (xattrs !== undefined) entry.xattrs = xattrs;
  return entry;
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
