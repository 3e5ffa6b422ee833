import { lstatSync, readdirSync, readlinkSync } from "node:fs";
import type { IgnoreMatcher } from "@varve/dockerfile";
import { type Entry, type EntryType, type FileTree, readXattrs, startThreads } from "@varve/layer";
import { StepError } from "../errors.ts";
import { type FileStamp, StampColumn, stampOf } from "./file-stamp.ts";

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
  /** The file's stamp as it was looked up; undefined for what is not in the context. */
  stamp(path: string): FileStamp | undefined;
  /** True where .dockerignore leaves something out that was looked for. */
  isIgnored(path: string): boolean;
  /** All that was looked at so far, with the stamps, and the directories that were listed, with their names. */
  seen(): SeenContext;
}

/** What was learnt of a context: it shows the same for as long as all of this stays. */
export interface SeenContext {
  /** Undefined for a path where nothing was. */
  readonly looks: ReadonlyMap<string, FileStamp | undefined>;
  /** Sorted. */
  readonly names: ReadonlyMap<string, readonly string[]>;
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
  const nodes = new Map<string, Node | undefined>();
  const read = new Map<string, readonly string[]>();
  const names = new Map<string, readonly string[]>();
  const newNode = createNodes();
  const load = (path: string): Node | undefined => {
    if (nodes.has(path)) return nodes.get(path);
    const node = readNode(source.path, path, newNode);
    nodes.set(path, node);
    if (nodes.size === MANY) startThreads();
    return node;
  };
  const isIgnored = (path: string): boolean => isLeftOut(source, path);
  const isPresent = (path: string): boolean => {
    if (!isIgnored(path)) return load(path)?.entry !== undefined;
    if (source.ignore?.canSkipDirectory(path) === true || load(path)?.entry?.type !== "directory") return false;
    return list(path).length > 0;
  };
  const list = (path: string): readonly string[] => {
    const known = names.get(path);
    if (known !== undefined) return known;
    const all = load(path)?.entry?.type === "directory" ? readNames(placeOf(source.path, path)) : [];
    read.set(path, all);
    const present = all.filter((name) => isPresent(path === "" ? name : `${path}/${name}`));
    names.set(path, present.length === all.length ? all : present);
    return present;
  };
  return {
    source,
    isIgnored,
    list,
    lookup: (path) => (isPresent(path) ? load(path)?.entry : undefined),
    stamp: (path) => (isPresent(path) ? load(path) : undefined),
    seen: () => ({ looks: nodes, names: read }),
  };
}

/** True where the ignore file of a context leaves `path` out. */
export function isLeftOut({ ignore }: ContextSource, path: string): boolean {
  return path !== "" && ignore?.matches(path).excluded === true;
}

/** A stamp with its entry. Of large contexts there are many: one object takes less than two, packed numbers less than BigInts. */
class Node implements FileStamp {
  readonly #stamps: StampColumn;
  readonly #position: number;
  /** Undefined for a socket. */
  entry: Entry | undefined;

  constructor(stamps: StampColumn, position: number) {
    this.#stamps = stamps;
    this.#position = position;
  }

  get inode(): bigint {
    return this.#stamps.inode(this.#position);
  }

  get size(): bigint {
    return this.#stamps.size(this.#position);
  }

  get mtime(): bigint {
    return this.#stamps.mtime(this.#position);
  }

  get ctime(): bigint {
    return this.#stamps.ctime(this.#position);
  }
}

/** Stamps of nodes that are kept together. */
const TOGETHER = 1024;

type NewNode = (stamp: FileStamp) => Node;

function createNodes(): NewNode {
  let stamps = new StampColumn(new BigInt64Array(0));
  let position = 0;
  return (stamp) => {
    if (position === stamps.length) {
      stamps = new StampColumn(new BigInt64Array(4 * TOGETHER));
      position = 0;
    }
    stamps.set(position, stamp);
    position += 1;
    return new Node(stamps, position - 1);
  };
}

function placeOf(root: string, path: string): string {
  return path === "" ? root : `${root}/${path}`;
}

function readNode(root: string, path: string, newNode: NewNode): Node | undefined {
  const file = placeOf(root, path);
  const stat = unlessMissing(() => lstatSync(file, { bigint: true }), { file, missing: undefined });
  if (stat === undefined) return undefined;
  const node = newNode(stampOf(stat));
  const type = TYPES.get(stat.mode & TYPE_MASK);
  if (type === undefined) return node;
  const mtime = stat.mtimeNs;
  const mode = Number(stat.mode & 0o7777n);
  // All in one literal: what is added to an object later takes an array of its own.
  const entry: DraftEntry =
    type === "file"
      ? { path, type, mode, uid: 0, gid: 0, size: Number(stat.size), mtime, content: new ContextContent(root, path) }
      : { path, type, mode, uid: 0, gid: 0, size: 0, mtime };
  if (type === "file" && stat.nlink > 1n) entry.inode = `${stat.dev}:${stat.ino}`;
  if (type === "symlink") entry.linkname = readlinkSync(file);
  if (type === "char-device" || type === "block-device") entry.device = deviceNumber(stat.rdev);
  const xattrs = type === "symlink" ? undefined : readXattrs(file);
  if (xattrs !== undefined) entry.xattrs = xattrs;
  node.entry = entry;
  return node;
}

type DraftEntry = { -readonly [Name in keyof Entry]: Entry[Name] };

/** Puts the path together when it is asked for: of a large context, all paths in full are tens of megabytes. */
class ContextContent {
  readonly #root: string;
  readonly #path: string;

  constructor(root: string, path: string) {
    this.#root = root;
    this.#path = path;
  }

  get path(): string {
    return placeOf(this.#root, this.#path);
  }
}

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
