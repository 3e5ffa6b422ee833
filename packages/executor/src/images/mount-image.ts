import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { LocalStore } from "@varve/cache";
import { mount, umount2 } from "@varve/layer";
import type { Digest, Image } from "@varve/oci";
import { StepError } from "../errors.ts";
import { type ImageRootfsOptions, openImageRootfs } from "./open-image-rootfs.ts";

/** sys/mount.h. */
const MS_RDONLY = 1;
const MS_REMOUNT = 0x20;
const MS_BIND = 0x1000;
const MNT_DETACH = 2;

/** An image that is mounted. */
export interface MountedImage {
  /** The directory where it is seen; absolute. */
  readonly target: string;
  /** What it was called. */
  readonly name: string;
  /** Extracted layers that it is made of: diff IDs. */
  readonly layers: readonly Digest[];
  /** Directory of the store with all that belongs to it. */
  readonly directory: string;
}

export interface MountOptions extends ImageRootfsOptions {
  /** What the image is called. */
  readonly name: string;
  readonly access: "read" | "write";
}

/**
 * Mounts an image at directory `path`, which exists, until `unmountImage`. What is written there, where it may be, is
 * lost with it.
 * @throws StepError `MOUNT_FAILED`.
 */
export async function mountImage(image: Image, path: string, options: MountOptions): Promise<void> {
  const target = resolve(path);
  if (statSync(target, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new StepError("MOUNT_FAILED", `Cannot mount at "${path}": it is no directory`);
  if (process.geteuid?.() !== 0)
    throw new StepError("MOUNT_FAILED", `Cannot mount at "${path}": only root can mount where others see it`, {
      hint: "varve unpack writes the files into a directory; varve run shows them to a command",
    });
  const { base, snapshotter } = await openImageRootfs(image, options);
  const directory = join(mountedDirectory(options.store), randomUUID());
  const own = join(directory, "snapshot");
  await mkdir(own, { recursive: true });
  try {
    const layers = image.layers.map(({ diffId }) => diffId);
    await writeFile(join(directory, "mount.json"), JSON.stringify({ target, name: options.name, layers }));
    const { rootfs } = await snapshotter.prepare(base, own);
    bind(rootfs, target, options.access);
  } catch (error) {
    await removeMount({ directory, target: undefined });
    throw error;
  }
}

function bind(rootfs: string, target: string, access: "read" | "write"): void {
  try {
    mount(rootfs, target, { flags: MS_BIND });
  } catch (cause) {
    throw new StepError("MOUNT_FAILED", `Cannot mount at "${target}": ${(cause as Error).message}`, {
      cause,
      hint: "Mounting needs root; varve unpack writes the files into a directory instead",
    });
  }
  if (access === "read") mount("none", target, { flags: MS_BIND | MS_REMOUNT | MS_RDONLY });
}

/** The images that are mounted from this store, whoever mounted them; what a restart of the machine ended is removed. */
export async function listMountedImages(store: LocalStore): Promise<readonly MountedImage[]> {
  const root = mountedDirectory(store);
  const mounts = (existsSync(root) ? readdirSync(root) : []).flatMap((name) => readMount(join(root, name)));
  const targets = mountPoints();
  const ended = mounts.filter(({ target }) => !targets.has(target));
  for (const each of ended) await removeMount({ ...each, target: undefined });
  return mounts.filter((each) => !ended.includes(each));
}

/** Ends what `mountImage` began at `path`. False where no image of this store is mounted there. */
export async function unmountImage(path: string, store: LocalStore): Promise<boolean> {
  const target = resolve(path);
  const found = (await listMountedImages(store)).find((each) => each.target === target);
  if (found !== undefined) await removeMount(found);
  return found !== undefined;
}

/** @throws StepError `MOUNT_FAILED` where the target is in use. */
async function removeMount({
  directory,
  target,
}: {
  readonly directory: string;
  readonly target: string | undefined;
}): Promise<void> {
  try {
    if (target !== undefined) umount2(target, 0);
  } catch (cause) {
    throw new StepError("MOUNT_FAILED", `Cannot unmount "${target}": ${(cause as Error).message}`, {
      cause,
      hint: "End what uses it, such as a shell in it",
    });
  }
  const rootfs = join(directory, "snapshot", "rootfs");
  if (mountPoints().has(rootfs)) umount2(rootfs, MNT_DETACH);
  await rm(directory, { recursive: true, force: true });
}

function mountedDirectory(store: LocalStore): string {
  return join(store.path, "mounted");
}

function readMount(directory: string): readonly MountedImage[] {
  try {
    const mounted = JSON.parse(readFileSync(join(directory, "mount.json"), "utf8")) as Omit<MountedImage, "directory">;
    return [{ ...mounted, directory }];
  } catch {
    return [];
  }
}

/** proc(5), mountinfo, field 5. */
function mountPoints(): ReadonlySet<string> {
  const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  return new Set(lines.map((line) => (line.split(" ")[4] ?? "").replaceAll(/\\([0-7]{3})/g, unescapeOctal)));
}

function unescapeOctal(_: string, digits: string): string {
  return String.fromCharCode(Number.parseInt(digits, 8));
}
