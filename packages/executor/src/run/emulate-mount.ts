import { existsSync, type Stats, statSync } from "node:fs";
import { chmod, link, mkdir, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { lutimens } from "@varve/layer";
import type { BindMount, TmpfsMount } from "../runner.ts";
import { copyPath } from "../snapshot/copy-path.ts";
import { mountPointKind } from "./mount-point-kind.ts";
import { createMountPoints } from "./mount-points.ts";

export interface EmulationContext {
  readonly rootfs: string;
  /** A path of this mount's own, outside of the rootfs, for what stands at its target. */
  readonly aside: string;
  /** Undoes the emulation. */
  readonly stack: AsyncDisposableStack;
}

/**
 * Puts in place what a process would see through a mount; what stands there moves aside. Undoing it brings what was
 * written back to the source of a writable mount, and the rootfs to what it was.
 */
export async function emulateMount(mount: BindMount | TmpfsMount, context: EmulationContext): Promise<void> {
  const { rootfs, aside, stack } = context;
  const kind = mount.type === "tmpfs" || !existsSync(mount.source) ? "directory" : mountPointKind("bind", mount.source);
  const path = stack.use(createMountPoints(rootfs)).make(mount.target, kind);
  const parent = dirname(path);
  await keepingTime(parent, () => move(path, aside));
  stack.defer(() =>
    keepingTime(parent, async () => {
      await rm(path, { recursive: true, force: true });
      await move(aside, path);
    }),
  );
  await keepingTime(parent, () => place(mount, path, stack));
}

async function place(mount: BindMount | TmpfsMount, path: string, stack: AsyncDisposableStack): Promise<void> {
  if (mount.type === "tmpfs") return makeOpenDirectory(path);
  const { source } = mount;
  const status = statSync(source, { throwIfNoEntry: false });
  if (status?.isDirectory() === false) return placeFile(mount, status, { path, stack });
  if (mount.readonly) return copyPath(source, path);
  // A shared cache that another step has taken is empty for this one.
  if (status === undefined) await makeOpenDirectory(path);
  else if (!(await tryRename(source, path))) await copyPath(source, path);
  stack.defer(() => giveBack(path, source));
}

async function makeOpenDirectory(path: string): Promise<void> {
  await mkdir(path);
  await chmod(path, 0o1777);
}

/** A socket keeps working under a second name; a copy of it would not. */
async function placeFile(
  { source, readonly }: BindMount,
  status: Stats,
  { path, stack }: { readonly path: string; readonly stack: AsyncDisposableStack },
): Promise<void> {
  if (!status.isFile()) return link(source, path);
  await copyPath(source, path);
  if (!readonly) stack.defer(() => copyPath(path, source));
}

/** The directory's time is what it would be without the emulation. */
async function keepingTime(directory: string, action: () => Promise<void>): Promise<void> {
  const { mtimeNs } = statSync(directory, { bigint: true });
  await action();
  lutimens(directory, mtimeNs);
}

/** Where another process made the source anew meanwhile, both are joined. */
async function giveBack(path: string, source: string): Promise<void> {
  if (!(await tryRename(path, source))) await copyPath(path, source);
}

async function move(from: string, to: string): Promise<void> {
  if (await tryRename(from, to)) return;
  await copyPath(from, to);
  await rm(from, { recursive: true });
}

/** False where it can't be moved: to another file system, out of an overlay's lower layer, onto what is there. */
async function tryRename(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (cause) {
    const { code = "" } = cause as NodeJS.ErrnoException;
    if (["EXDEV", "EBUSY", "ENOTEMPTY", "EEXIST"].includes(code)) return false;
    throw cause;
  }
}
