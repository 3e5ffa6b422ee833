import { promisify } from "node:util";
import { zstdCompress, zstdDecompressSync } from "node:zlib";
import type { Entry } from "@varve/layer";
import { digestOf, hexOf } from "@varve/oci";
import type { FileChanges, NamedFiles } from "./miss-reason.ts";

/** The files of one input: paths in the context, those of directories with a slash at the end, and facts in their order. */
export interface FileList {
  readonly paths: readonly string[];
  /** Of each path ten bytes: its mode, and eight that stand for all else of it. */
  readonly facts: Buffer;
}

const compress = promisify(zstdCompress);

const IDENTITY = 8;
const FACTS = 2 + IDENTITY;
const HEADER = 8;
/** More is not written down: a reason is not worth that much. */
const MOST_FILES = 250_000;
const MOST_BYTES = 256 * 1024 * 1024;
/** Names that a change keeps of each kind. */
const MOST_NAMES = 10;

/** The list of a selection whose files have their digests; entries with their paths in the context. */
export function listFiles(entries: readonly Entry[]): FileList {
  const facts = Buffer.alloc(entries.length * FACTS);
  const paths = entries.map((entry, position) => {
    facts.writeUInt16LE(entry.mode & 0xffff, position * FACTS);
    facts.write(identityOf(entry), position * FACTS + 2, IDENTITY, "hex");
    return entry.type === "directory" ? `${entry.path}/` : entry.path;
  });
  return { paths, facts };
}

/** Hexadecimal digits, at least as many as are kept. */
function identityOf({ type, digest, linkname, device, xattrs }: Entry): string {
  if (type === "file" && digest !== undefined && xattrs === undefined) return hexOf(digest);
  const parts = [type, digest, linkname, device, Object.entries(xattrs ?? {}).toSorted()];
  return hexOf(digestOf(Buffer.from(JSON.stringify(parts))));
}

/**
 * A zstd frame around two 32-bit counts (files, bytes of names), the paths joined by NUL, then for each path its mode
 * (16 bits) and its identity (8 bytes). Little-endian. Undefined for a list that is too long to keep.
 */
export async function encodeFileList({ paths, facts }: FileList): Promise<Uint8Array | undefined> {
  if (paths.length > MOST_FILES) return undefined;
  const factsAt = Math.max(HEADER, paths.reduce((sum, path) => sum + Buffer.byteLength(path) + 1, HEADER) - 1);
  const bytes = Buffer.alloc(factsAt + facts.length);
  bytes.writeUInt32LE(paths.length, 0);
  bytes.writeUInt32LE(factsAt - HEADER, 4);
  let at = HEADER;
  // One by one: joined they would take as much memory again.
  for (const path of paths) at += bytes.write(path, at) + 1;
  bytes.set(facts, factsAt);
  // All of it at once: in small chunks it would wait for this thread between any two.
  return compress(bytes, { chunkSize: Math.max(64 * 1024, bytes.length >> 1) });
}

/** The reverse; undefined for a value that is none. */
export function decodeFileList(value: Uint8Array): FileList | undefined {
  const bytes = inflate(value);
  if (bytes === undefined || bytes.length < HEADER) return undefined;
  const count = bytes.readUInt32LE(0);
  const start = HEADER + bytes.readUInt32LE(4);
  if (bytes.length !== start + count * FACTS) return undefined;
  const paths = count === 0 ? [] : bytes.toString("utf8", HEADER, start).split("\0");
  return paths.length === count ? { paths, facts: bytes.subarray(start) } : undefined;
}

function inflate(value: Uint8Array): Buffer | undefined {
  try {
    return zstdDecompressSync(value, { maxOutputLength: MOST_BYTES });
  } catch {
    return undefined;
  }
}

/** In what `after` differs; undefined where in nothing. `isIgnored` tells of a path that is gone whether it is left out now. */
export function compareFileLists(
  before: FileList,
  after: FileList,
  isIgnored: (path: string) => boolean,
): FileChanges | undefined {
  const { find, left } = pairPaths(before.paths, after.paths);
  const changed: string[] = [];
  const added: string[] = [];
  const modes: string[] = [];
  for (const [position, path] of after.paths.entries()) {
    const old = find(position);
    if (old === undefined) added.push(path);
    else if (!isSame(before.facts, old, { facts: after.facts, position })) changed.push(path);
    else {
      const [was, is] = [modeOf(before.facts, old), modeOf(after.facts, position)];
      if (was !== is) modes.push(`${path} (${octal(was)} -> ${octal(is)})`);
    }
  }
  const removed = left();
  if (changed.length + added.length + modes.length + removed.length === 0) return undefined;
  const gone = withoutFullDirectories(removed);
  const ignored = new Set(gone.filter(isIgnored));
  return {
    changed: nameFiles(changed),
    added: nameFiles(withoutFullDirectories(added)),
    removed: nameFiles(gone.filter((path) => !ignored.has(path))),
    ignored: nameFiles([...ignored]),
    modes: nameFiles(modes),
  };
}

interface PairedPaths {
  /** Where the path at a position after stood before. */
  readonly find: (position: number) => number | undefined;
  /** Those before that were not found. */
  readonly left: () => readonly string[];
}

/** Most stand in the same order: only what is between the first and the last difference is looked up. */
function pairPaths(before: readonly string[], after: readonly string[]): PairedPaths {
  const most = Math.min(before.length, after.length);
  let head = 0;
  while (head < most && before[head] === after[head]) head += 1;
  let tail = 0;
  while (tail < most - head && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail += 1;
  const positions = new Map<string, number>();
  for (let position = head; position < before.length - tail; position += 1) positions.set(before[position]!, position);
  return {
    find(position) {
      if (position < head) return position;
      if (position >= after.length - tail) return position - after.length + before.length;
      const found = positions.get(after[position]!);
      positions.delete(after[position]!);
      return found;
    },
    left: () => [...positions.keys()],
  };
}

function isSame(
  before: Buffer,
  old: number,
  { facts, position }: { readonly facts: Buffer; readonly position: number },
): boolean {
  const [a, b] = [old * FACTS + 2, position * FACTS + 2];
  return before.readUInt32LE(a) === facts.readUInt32LE(b) && before.readUInt32LE(a + 4) === facts.readUInt32LE(b + 4);
}

function modeOf(facts: Buffer, position: number): number {
  return facts.readUInt16LE(position * FACTS);
}

function octal(mode: number): string {
  return mode.toString(8).padStart(3, "0");
}

function nameFiles(paths: readonly string[]): NamedFiles {
  return { count: paths.length, names: paths.slice(0, MOST_NAMES) };
}

/** A directory is no news where something in it is told. */
function withoutFullDirectories(paths: readonly string[]): readonly string[] {
  const parents = new Set(paths.map((path) => path.slice(0, path.replace(/\/$/, "").lastIndexOf("/") + 1)));
  return paths.filter((path) => !parents.has(path));
}
