import { closeSync, constants, mkdirSync, openSync, renameSync, rmSync, symlinkSync, utimesSync } from "node:fs";
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
  return { name: "overlay", whiteouts: form.xattrs, prepare: (base, directory) => prepare(base, directory, form) };
}

async function prepare(base: SnapshotBase, directory: string, form: OverlayForm): Promise<Snapshot> {
  const rootfs = join(directory, "rootfs");
  try {
    const layers = distinctLayers(base.layers);
    makeDirectories(directory, layers);
    seedUpper(join(directory, "upper"), base);
    mountOverlay(directory, form, layers.length);
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
  let mounted = true;
  const unmount = (): void => {
    if (mounted) umount2(rootfs, MNT_DETACH);
    mounted = false;
  };
  return createSnapshot({ rootfs, directory, base, xattrs: form.xattrs, unmount });
}

interface OverlaySnapshot {
  readonly rootfs: string;
  readonly directory: string;
  readonly base: SnapshotBase;
  readonly xattrs: "trusted" | "user";
  readonly unmount: () => void;
}

function createSnapshot({ rootfs, directory, base, xattrs, unmount }: OverlaySnapshot): Snapshot {
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
      trimUpper(upper, await diff(), xattrs);
      // Its time is when it was last used, from the start: what eviction goes by.
      utimesSync(upper, new Date(), new Date());
      moveInPlace(upper, path);
    },
    async [Symbol.asyncDispose]() {
      unmount();
      rmSync(directory, { recursive: true, force: true });
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

/**
 * Lower directories get names of one to three characters, newest first, so that many fit in the mount's options. All at
 * once: a step waits for nothing else, and a thread takes longer to be woken than to make a directory.
 */
function makeDirectories(directory: string, layers: readonly string[]): void {
  for (const name of ["rootfs", "upper", "work", "lower"]) mkdirSync(join(directory, name), { mode: 0o755 });
  const lower = join(directory, "lower");
  if (layers.length === 0) mkdirSync(join(lower, lowerName(0)), { mode: 0o755 });
  for (const [position, path] of layers.toReversed().entries()) symlinkSync(path, join(lower, lowerName(position)));
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
