import type { Entry, FileTree } from "@varve/layer";

/** A writable file system on top of extracted layers. */
export interface Snapshot extends AsyncDisposable {
  /** The directory that is its root. */
  readonly rootfs: string;
  /** What differs from the layers beneath, as a layer's entries in order, contents by path; copy-ups without change are left out. */
  diff(): Promise<readonly Entry[]>;
  /** Unmounts it and moves what was written to `path` as an extracted layer, where nothing stands there yet. */
  commit(path: string): Promise<void>;
  /**
   * Unmounts it and at once leaves its directory to another snapshot of the same snapshotter; then removes what only this
   * one had there. Disposal removes the directory.
   */
  clear(): Promise<void>;
}

export interface SnapshotBase {
  /** Extracted layers, oldest first: directories as `extractLayer` makes them. */
  readonly layers: readonly string[];
  /** The same layers as one tree, for comparison. */
  readonly tree: FileTree;
  /** Directories that some layer names only as parents of its entries: their attributes are those of `tree`. */
  readonly impliedDirectories?: readonly string[];
  /** A directory that may be shown beneath all layers; neither the tree nor the diff tells of what it has. */
  readonly ground?: string | undefined;
}

/** Makes writable (and read-only) file systems of extracted layers. */
export interface Snapshotter {
  readonly name: "overlay" | "copy";
  /** How layers have to be extracted for it: whiteouts as overlayfs with `trusted.` or `user.` xattrs, or not at all. */
  readonly whiteouts: "trusted" | "user" | "none";
  /** `directory`: a directory of this snapshot's own, empty or cleared, on the file system of the layers. */
  prepare(base: SnapshotBase, directory: string): Promise<Snapshot>;
}
