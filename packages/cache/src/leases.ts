import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isProcessAlive } from "./process-identity.ts";

/**
 * Tells other processes since when this one (`identity`) uses the store at `root`: they evict nothing that was used
 * later. Gives the lease's file.
 */
export function createLease(root: string, identity: string): string {
  const directory = join(root, "leases");
  mkdirSync(directory, { recursive: true });
  const count = readdirSync(directory).length;
  const path = join(directory, `${identity}-${count}-${Math.random().toString(36).slice(2)}`);
  writeFileSync(path, "");
  return path;
}

/** Since when living processes use the store, those with the lease `except` left out: ms since 1970; Infinity: none does. */
export function oldestLease(root: string, except: string): number {
  const directory = join(root, "leases");
  const times = readdirSync(directory).map((name) => {
    const [, identity] = /^(\d+-\d+)-/.exec(name) ?? [];
    const isCounted = identity !== undefined && join(directory, name) !== except && isProcessAlive(identity);
    return isCounted ? timeOf(join(directory, name)) : Number.POSITIVE_INFINITY;
  });
  return Math.min(Number.POSITIVE_INFINITY, ...times);
}

function timeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Number.POSITIVE_INFINITY;
}
