import { execFile } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { isProcessAlive } from "./process-identity.ts";

/** Removes what processes that are gone left in `tmp/`, `mounts/` and `leases/`, mounts included. */
export async function sweepLeftovers(root: string): Promise<void> {
  for (const parent of ["tmp", "mounts", "leases"]) {
    const directory = join(root, parent);
    const dead = existsSync(directory) ? readdirSync(directory).filter((name) => isLeftover(name)) : [];
    await Promise.all(dead.map((name) => removeTree(join(directory, name))));
  }
}

function isLeftover(name: string): boolean {
  const match = /^(\d+-\d+)-/.exec(name);
  return match?.[1] !== undefined && !isProcessAlive(match[1]);
}

/** Removes a directory tree; what is still mounted in it is unmounted first, never emptied. */
export async function removeTree(path: string): Promise<void> {
  if (!existsSync(path)) return;
  for (const mount of await mountsBelow(path))
    await promisify(execFile)("umount", ["--lazy", mount]).catch(() => undefined);
  if ((await mountsBelow(path)).length > 0) return;
  await rm(path, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
}

/** Mount points at or below `path`, innermost first: proc(5), mountinfo, field 5. */
async function mountsBelow(path: string): Promise<readonly string[]> {
  const table = await readFile("/proc/self/mountinfo", "utf8").catch(() => "");
  if (!table.includes(path)) return [];
  return table
    .split("\n")
    .map((line) => unescape(line.split(" ")[4] ?? ""))
    .filter((mount) => mount === path || mount.startsWith(`${path}/`))
    .toReversed();
}

function unescape(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
