import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** Kills all processes that descend from `pid`, but not itself. False where there are none. */
export function killDescendants(pid: number): boolean {
  const parents = new Map(processIds().map((id) => [id, parentOf(id)]));
  const found = new Set<number>([pid]);
  for (let before = 0; before < found.size;) {
    before = found.size;
    for (const [id, parent] of parents) if (parent !== undefined && found.has(parent)) found.add(id);
  }
  found.delete(pid);
  for (const id of found) kill(id);
  return found.size > 0;
}

/** Sends a signal to the processes that `pid` started. */
export function signalChildren(pid: number, signal: NodeJS.Signals): void {
  for (const id of processIds()) if (parentOf(id) === pid) kill(id, signal);
}

/**
 * Kills all processes whose root directory is `rootfs` or beneath it, children that were given away included. What is
 * started meanwhile is found by the next look.
 */
export function killInRoot(rootfs: string): void {
  const isInside = (root: string | undefined): boolean => root === rootfs || root?.startsWith(`${rootfs}/`) === true;
  const known = new Set<number>();
  for (let found = [0]; found.length > 0;) {
    found = processIds().filter((id) => !known.has(id) && isInside(rootOf(id)));
    for (const id of found) {
      known.add(id);
      kill(id);
    }
  }
}

function processIds(): number[] {
  return readdirSync("/proc").map(Number).filter(Number.isInteger);
}

/** proc_pid_stat(5): the name stands in parentheses and may hold any character; state and parent follow. */
function parentOf(id: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${id}/stat`, "latin1");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return undefined;
  }
}

function rootOf(id: number): string | undefined {
  try {
    return readlinkSync(`/proc/${id}/root`);
  } catch {
    return undefined;
  }
}

function kill(id: number, signal: NodeJS.Signals = "SIGKILL"): void {
  try {
    process.kill(id, signal);
  } catch {
    // It has ended.
  }
}
