import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, chown, mkdir, open, readdir, readFile, rename, rm, utimes } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { RunMount } from "@varve/graph";
import { copyPath } from "../snapshot/copy-path.ts";
import { openFileSet } from "./bind-mount.ts";
import type { MountContext, OpenMount } from "./open-mounts.ts";

type CacheMount = Extract<RunMount, { type: "cache" }>;

const POLL = 50;

/**
 * `type=cache`: a directory of the store that outlives the build, by id. `locked` waits until no other process uses
 * it; `private` takes another one instead of waiting; `shared` is for all at once.
 */
export async function openCacheMount(mount: CacheMount, context: MountContext): Promise<OpenMount> {
  const { session } = context;
  const parent = join(session.options.store.path, "cache-mounts", cacheName(mount));
  await mkdir(parent, { recursive: true });
  // Its time is when it was last used: what eviction goes by.
  await utimes(parent, new Date(), new Date());
  const slot = mount.sharing === "shared" ? "0" : await lockSlot(parent, mount.sharing, context);
  const source = join(parent, slot);
  await makeCache(source, mount, context);
  session.options.travellingMounts?.use(mount, source);
  return { mount: { type: "bind", source, target: mount.target, readonly: mount.readonly } };
}

function cacheName({ id, uid, gid, mode }: CacheMount): string {
  return createHash("sha256")
    .update(JSON.stringify([id, uid, gid, mode]))
    .digest("hex")
    .slice(0, 32);
}

/** Fills a new cache, or an empty one that travels, beside its place, then moves it there: whoever comes second uses the first one's. */
async function makeCache(path: string, mount: CacheMount, context: MountContext): Promise<void> {
  const { travellingMounts } = context.session.options;
  const isThere = existsSync(path);
  if (isThere && (travellingMounts === undefined || (await readdir(path)).length > 0)) return;
  const temporary = join(await context.session.options.store.makeTemporaryDirectory("tmp"), "cache");
  await mkdir(temporary);
  await chown(temporary, mount.uid, mount.gid);
  await chmod(temporary, mount.mode);
  await travellingMounts?.restore(mount, temporary);
  if (mount.from !== undefined && (await readdir(temporary)).length === 0)
    await copyPath(await openFileSet(mount.from, mount.source, context), temporary);
  await rename(temporary, path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== "ENOTEMPTY" && cause.code !== "EEXIST") throw cause;
  });
}

async function lockSlot(
  parent: string,
  sharing: "private" | "locked",
  { stack, session }: MountContext,
): Promise<string> {
  for (let slot = 0; ; slot = sharing === "private" ? slot + 1 : slot) {
    const lock = join(parent, `${slot}.lock`);
    if (await takeLock(lock)) {
      stack.defer(() => rm(lock, { force: true }));
      return String(slot);
    }
    if (sharing === "locked") await setTimeout(POLL, undefined, { signal: session.options.signal });
  }
}

/** A lock file with its holder's pid; one whose holder is gone is taken over. */
async function takeLock(path: string): Promise<boolean> {
  try {
    const file = await open(path, "wx");
    await file.writeFile(String(process.pid));
    await file.close();
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
  }
  const holder = Number(await readFile(path, "utf8").catch(() => ""));
  if (holder > 0 && !isAlive(holder)) await rm(path, { force: true });
  return false;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "EPERM";
  }
}
