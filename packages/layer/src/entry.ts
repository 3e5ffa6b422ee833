import type { Digest } from "@varve/oci";

/** `whiteout` removes the path beneath; `opaque` hides all that lower layers hold in the directory `path`. */
export type EntryType =
  | "file"
  | "directory"
  | "symlink"
  | "hardlink"
  | "char-device"
  | "block-device"
  | "fifo"
  | "whiteout"
  | "opaque";

/** Where the bytes of a file are: in a file of this machine (from `offset`, default 0), or in memory. */
export type FileContent = { readonly path: string; readonly offset?: number } | { readonly bytes: Uint8Array };

/** One path of a file tree or of a layer, whatever it came from. */
export interface Entry {
  /** Relative to the root: "/" between names, none at either end, no "." and no ".."; "" is the root itself. */
  readonly path: string;
  readonly type: EntryType;
  /** Permission bits with set-user-ID, set-group-ID and sticky: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of a file; 0 for every other type. */
  readonly size: number;
  /** Nanoseconds since 1970. */
  readonly mtime: bigint;
  /** Symlink: the target as it is written. Hardlink: the path, in the form of `path`, of a file in the same layer. */
  readonly linkname?: string;
  /** Of char-device and block-device. */
  readonly device?: { readonly major: number; readonly minor: number };
  /** Extended attributes by full name (`security.capability`, `user.x`); overlayfs' own are never among them. */
  readonly xattrs?: Readonly<Record<string, Uint8Array>>;
  /** sha256 of a file's bytes, where it is known. */
  readonly digest?: Digest | undefined;
  /** Of a file with several names in its tree: the same text for each of these names, and for no other file. */
  readonly inode?: string;
  /** Of a file: where its bytes are; absent where they were not materialised. */
  readonly content?: FileContent;
}

/** A file tree that can be looked at: a context directory, one layer, or layers stacked on each other. */
export interface FileTree {
  /** The entry at `path` itself (a symlink is not followed), or undefined. The root "" always exists. Never a hardlink, whiteout or opaque: those are resolved to what a process would see. */
  lookup(path: string): Entry | undefined;
  /** Names in the directory at `path`, sorted by UTF-16 code units; empty where it is no directory. */
  list(path: string): readonly string[];
  /** The same names with their entries, where a tree has them in less time than it takes to look them all up. */
  children?(path: string): Iterable<readonly [name: string, entry: Entry]>;
}
