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
import { rm, rmdir } from "node:fs/promises";
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
  let count = 0;
  const prepare: Snapshotter["prepare"] = async (base, directory) => {
    count += 1;
    return prepareOverlay(base, directory, { ...form, links, upper: `upper-${count}`, work: `work-${count}` });
  };
  return { name: "overlay", whiteouts: form.xattrs, prepare };
}

/** What the links to lower directories in a snapshot's directory lead to, in the order of their names. */
type LowerLinks = Map<string, readonly string[]>;

interface Overlay extends OverlayForm {
  readonly links: LowerLinks;
  /** Names that no other snapshot has: what the last one in a directory had may still be in use, or be removed. */
  readonly upper: string;
  readonly work: string;
}

function prepareOverlay(base: SnapshotBase, directory: string, overlay: Overlay): Snapshot {
  const { links, xattrs } = overlay;
  const [rootfs, lowers] = [join(directory, "rootfs"), join(directory, "lower")];
  const [upper, work] = [join(directory, overlay.upper), join(directory, overlay.work)];
  const remove = (): void => {
    links.delete(directory);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const lower = lowerDirectories(base);
    const before = links.get(directory);
    makeDirectories(before === undefined ? [rootfs, lowers, upper, work] : [upper, work]);
    linkLower(lowers, lower, before);
    links.set(directory, lower);
    seedUpper(upper, base);
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
  return createSnapshot({ rootfs, upper, work, base, xattrs, unmount, remove });
}

interface OverlaySnapshot {
  readonly rootfs: string;
  readonly upper: string;
  readonly work: string;
  readonly base: SnapshotBase;
  readonly xattrs: "trusted" | "user";
  readonly unmount: () => void;
  readonly remove: () => void;
}

function createSnapshot({ rootfs, upper, work, base, xattrs, unmount, remove }: OverlaySnapshot): Snapshot {
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
      await Promise.all([removeWork(work), removeDirectories([upper])]);
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
function makeDirectories(paths: readonly string[]): void {
  for (const path of paths) mkdirSync(path, { mode: 0o755 });
}

/** What the kernel leaves in a work directory, as a mount without syncing: filesystems/overlayfs, "Volatile mount". */
async function removeWork(work: string): Promise<void> {
  const left = ["", "work", "work/incompat", "work/incompat/volatile"].map((path) => join(work, path));
  await rm(join(work, "work/incompat/volatile/dirty"), { force: true });
  await removeDirectories(left.toReversed());
}

/** One after the other, those too that are not empty. */
async function removeDirectories(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    // The other walks through what it removes, which takes longer.
    await rmdir(path).catch(() => rm(path, { recursive: true, force: true }));
  }
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
function mountOverlay(directory: string, { xattrs, sync, upper, work }: Overlay, layers: number): void {
  // Through an open directory the paths are short, and free of the characters that separate options.
  using open = openDirectory(directory);
  using lower = openDirectory(join(directory, "lower"));
  const names = Array.from({ length: Math.max(1, layers) }, (_, position) => `${lower.path}/${lowerName(position)}`);
  // The first is the uppermost.
  names.reverse();
  const options = [
    `lowerdir=${names.join(":")}`,
    `upperdir=${open.path}/${upper}`,
    `workdir=${open.path}/${work}`,
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
