import { createHash } from "node:crypto";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import type { Entry } from "@varve/layer";
import type { FileChanges, NamedFiles } from "./miss-reason.ts";

/** What is kept of one file: permissions, and eight bytes that stand for all else of it. */
export interface ListedFile {
  readonly mode: number;
  readonly identity: string;
}

/** The files of one input by their paths in the context; directories end in a slash. */
export type FileList = ReadonlyMap<string, ListedFile>;

const IDENTITY = 8;
const RECORD = 2 + IDENTITY;
const HEADER = 8;
/** More is not written down: a reason is not worth that much. */
const MOST_FILES = 250_000;
const MOST_BYTES = 256 * 1024 * 1024;
/** Names that a change keeps of each kind. */
const MOST_NAMES = 10;

/** The list of a selection whose files have their digests; entries with their paths in the context. */
export function listFiles(entries: Iterable<Entry>): FileList {
  const list = new Map<string, ListedFile>();
  for (const entry of entries) {
    const name = entry.type === "directory" ? `${entry.path}/` : entry.path;
    list.set(name, { mode: entry.mode, identity: identityOf(entry) });
  }
  return list;
}

function identityOf({ type, digest, linkname, device, xattrs }: Entry): string {
  if (type === "file" && digest !== undefined && xattrs === undefined)
    return digest.slice("sha256:".length, "sha256:".length + 2 * IDENTITY);
  const parts = [type, digest, linkname, device, Object.entries(xattrs ?? {}).toSorted()];
  return createHash("sha256")
    .update(JSON.stringify(parts))
    .digest("hex")
    .slice(0, 2 * IDENTITY);
}

/**
 * A zstd frame around two 32-bit counts (files, bytes of names), the paths joined by NUL, then for each path its mode
 * (16 bits) and its identity (8 bytes). Little-endian. Undefined for a list that is too long to keep.
 */
export function encodeFileList(list: FileList): Uint8Array | undefined {
  if (list.size > MOST_FILES) return undefined;
  const names = Buffer.from([...list.keys()].join("\0"));
  const bytes = Buffer.alloc(HEADER + names.length + list.size * RECORD);
  bytes.writeUInt32LE(list.size, 0);
  bytes.writeUInt32LE(names.length, 4);
  names.copy(bytes, HEADER);
  let offset = HEADER + names.length;
  for (const { mode, identity } of list.values()) {
    bytes.writeUInt16LE(mode & 0xffff, offset);
    bytes.write(identity, offset + 2, "hex");
    offset += RECORD;
  }
  return zstdCompressSync(bytes);
}

/** The reverse; undefined for a value that is none. */
export function decodeFileList(value: Uint8Array): FileList | undefined {
  const bytes = inflate(value);
  if (bytes === undefined || bytes.length < HEADER) return undefined;
  const count = bytes.readUInt32LE(0);
  const start = HEADER + bytes.readUInt32LE(4);
  if (bytes.length !== start + count * RECORD) return undefined;
  const names = count === 0 ? [] : bytes.toString("utf8", HEADER, start).split("\0");
  if (names.length !== count) return undefined;
  const list = new Map<string, ListedFile>();
  for (const [position, name] of names.entries()) {
    const offset = start + position * RECORD;
    list.set(name, {
      mode: bytes.readUInt16LE(offset),
      identity: bytes.toString("hex", offset + 2, offset + RECORD),
    });
  }
  return list;
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
  const changed: string[] = [];
  const added: string[] = [];
  const modes: string[] = [];
  for (const [path, file] of after) {
    const old = before.get(path);
    if (old === undefined) added.push(path);
    else if (old.identity !== file.identity) changed.push(path);
    else if (old.mode !== file.mode) modes.push(`${path} (${octal(old.mode)} -> ${octal(file.mode)})`);
  }
  const gone = withoutFullDirectories([...before.keys()].filter((path) => !after.has(path)));
  const ignored = new Set(gone.filter(isIgnored));
  const removed = gone.filter((path) => !ignored.has(path));
  if (changed.length + added.length + modes.length + gone.length === 0) return undefined;
  return {
    changed: nameFiles(changed),
    added: nameFiles(withoutFullDirectories(added)),
    removed: nameFiles(removed),
    ignored: nameFiles([...ignored]),
    modes: nameFiles(modes),
  };
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
