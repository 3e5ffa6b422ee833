import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
} from "node:fs";
import { join } from "node:path";
import { diffUpper, type Entry, mount, umount2 } from "@varve/layer";
import { StepError } from "../errors.ts";
import type { Snapshot, SnapshotBase, Snapshotter } from "../snapshotter.ts";
import { seedUpper } from "./seed-upper.ts";
import { trimUpper } from "./trim-upper.ts";

/** sys/mount.h. */
const MNT_DETACH = 2;
/** mount(2): the options of a mount, with the zero at their end, have to fit in a page. */
const PAGE = 4096;

/** How overlayfs is to be mounted. */
export interface OverlayForm {
  /** Whose xattrs it keeps its books in; `user` in a user namespace. */
  readonly xattrs: "trusted" | "user";
  /** Whether it may leave out writing the whole file system to disk when it is unmounted: Linux 5.10. */
  readonly sync: "volatile" | "full";
}

/** Snapshots as overlayfs mounts: the upper directory is the diff. */
export function createOverlaySnapshotter(form: OverlayForm): Snapshotter {
  const links: LowerLinks = new Map();
  const prepare: Snapshotter["prepare"] = async (base, directory) =>
    prepareOverlay(base, directory, { ...form, links });
  return { name: "overlay", whiteouts: form.xattrs, prepare };
}

/** What the links to lower directories in a snapshot's directory lead to, in the order of their names. */
type LowerLinks = Map<string, readonly string[]>;

interface Overlay extends OverlayForm {
  readonly links: LowerLinks;
}

function prepareOverlay(base: SnapshotBase, directory: string, overlay: Overlay): Snapshot {
  const { links } = overlay;
  const rootfs = join(directory, "rootfs");
  const remove = (): void => {
    links.delete(directory);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const lower = lowerDirectories(base);
    const before = links.get(directory);
    makeDirectories(directory, before === undefined ? ["rootfs", "lower", "upper", "work"] : ["upper", "work"]);
    linkLower(join(directory, "lower"), lower, before);
    links.set(directory, lower);
    seedUpper(join(directory, "upper"), base);
    mountOverlay(directory, overlay, lower.length);
  } catch (error) {
    remove();
    throw error;
  }
  let mounted = true;
  const unmount = (): void => {
    if (mounted) umount2(rootfs, MNT_DETACH);
    mounted = false;
  };
  return createSnapshot({ rootfs, directory, base, xattrs: overlay.xattrs, unmount, remove });
}

interface OverlaySnapshot {
  readonly rootfs: string;
  readonly directory: string;
  readonly base: SnapshotBase;
  readonly xattrs: "trusted" | "user";
  readonly unmount: () => void;
  readonly remove: () => void;
}

function createSnapshot({ rootfs, directory, base, xattrs, unmount, remove }: OverlaySnapshot): Snapshot {
  const upper = join(directory, "upper");
  let found: Promise<readonly Entry[]> | undefined;
  const diff = (): Promise<readonly Entry[]> => {
    unmount();
    found ??= diffUpper(upper, base.tree, { overlay: xattrs });
    return found;
  };
  return {
    rootfs,
    diff,
    async commit(path) {
      if (existsSync(path)) return;
      trimUpper(upper, await diff(), xattrs);
      // Its time is when it was last used, from the start: what eviction goes by.
      utimesSync(upper, new Date(), new Date());
      moveInPlace(upper, path);
    },
    async clear() {
      unmount();
      // Not used again: a process elsewhere may still have the mount that they belong to.
      for (const name of ["upper", "work"]) rmSync(join(directory, name), { recursive: true, force: true });
    },
    async [Symbol.asyncDispose]() {
      unmount();
      remove();
    },
  };
}

/** Whoever comes second leaves its own where it is. */
function moveInPlace(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== "ENOTEMPTY" && code !== "EEXIST") throw cause;
  }
}

/**
 * Each layer once, where it stands highest: overlayfs refuses the same lower directory twice, and steps that change the
 * same, or nothing, share a layer. A lower one shows nothing that the higher one does not.
 */
function distinctLayers(layers: readonly string[]): readonly string[] {
  return layers.filter((path, position) => layers.lastIndexOf(path) === position);
}

/** Oldest first. An empty list stands for an empty directory. */
function lowerDirectories({ layers, ground }: SnapshotBase): readonly string[] {
  return [...(ground === undefined ? [] : [ground]), ...distinctLayers(layers)];
}

/** All at once: a step waits for nothing else, and a thread takes longer to be woken than to make a directory. */
function makeDirectories(directory: string, names: readonly string[]): void {
  for (const name of names) mkdirSync(join(directory, name), { mode: 0o755 });
}

/**
 * Gives lower directories names of one to three characters in `directory`, so that many fit in the mount's options.
 * Oldest first, so that the next step on a stack has one link to make. `before`: what the links there lead to.
 */
function linkLower(directory: string, lower: readonly string[], before: readonly string[] = []): void {
  const count = Math.max(1, lower.length);
  for (let position = 0; position < count; position += 1) {
    const path = lower[position];
    if (path !== undefined && before[position] === path) continue;
    const name = join(directory, lowerName(position));
    rmSync(name, { recursive: true, force: true });
    if (path === undefined) mkdirSync(name, { mode: 0o755 });
    else symlinkSync(path, name);
  }
}

function lowerName(position: number): string {
  return position.toString(36);
}

/** @throws StepError `MOUNT_FAILED`. */
function mountOverlay(directory: string, { xattrs, sync }: OverlayForm, layers: number): void {
  // Through an open directory the paths are short, and free of the characters that separate options.
  using open = openDirectory(directory);
  using lower = openDirectory(join(directory, "lower"));
  const names = Array.from({ length: Math.max(1, layers) }, (_, position) => `${lower.path}/${lowerName(position)}`);
  // The first is the uppermost.
  names.reverse();
  const options = [
    `lowerdir=${names.join(":")}`,
    `upperdir=${open.path}/upper`,
    `workdir=${open.path}/work`,
    "index=off",
    // "userxattr" implies that both are off, and the kernel refuses to hear it twice.
    ...(xattrs === "user" ? ["userxattr"] : ["redirect_dir=off", "metacopy=off"]),
    ...(sync === "volatile" ? ["volatile"] : []),
  ].join(",");
  if (options.length >= PAGE) throw failed(directory, `${layers} layers are more than its options can name`);
  try {
    mount("overlay", join(directory, "rootfs"), { type: "overlay", options });
  } catch (cause) {
    throw failed(directory, (cause as Error).message, cause);
  }
}

function openDirectory(path: string): Disposable & { readonly path: string } {
  const file = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  return { path: `/proc/self/fd/${file}`, [Symbol.dispose]: () => closeSync(file) };
}

function failed(directory: string, why: string, cause?: unknown): StepError {
  return new StepError("MOUNT_FAILED", `Cannot mount overlay in "${directory}": ${why}`, {
    cause,
    hint: "Choose another store on a file system that overlayfs can use, or try --snapshotter copy",
  });
}
