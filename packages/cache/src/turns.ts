import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hexOf } from "@varve/oci";
import { isProcessAlive, processIdentity } from "./process-identity.ts";
import type { CacheKey } from "./record.ts";

/** What asking for a turn came to. `after`: another one had it before, so that there may be a record now. */
export type LocalTurn = { readonly type: "ours"; readonly after: boolean; end(): void } | { readonly type: "theirs" };

/** Turns of the processes that share a store: a file `HEX` for each key that is being made. */
export interface Turns extends Disposable {
  take(key: CacheKey): LocalTurn;
  /** True while a living process has the turn. */
  isHeld(key: CacheKey): boolean;
}

/** Stands in the file of a turn that ended. It stays for a while: whoever missed the record just before looks again. */
const DONE = "done";
const KEEP_DONE = 60_000;

/** Its time is when somebody looked for what can be removed. */
const SWEPT = "swept";

/** Turns in `directory`; disposal removes what ended a minute ago, of whatever process, and looks for that once a minute. */
export function createTurns(directory: string): Turns {
  let taken = 0;
  const identity = processIdentity();
  const isHeld = (key: CacheKey): boolean => {
    const holder = readHolder(join(directory, hexOf(key)));
    return holder !== undefined && holder !== DONE && isProcessAlive(holder);
  };
  return {
    isHeld,
    take(key) {
      const file = join(directory, hexOf(key));
      if (isHeld(key)) return { type: "theirs" };
      mkdirSync(directory, { recursive: true });
      const after = !createFile(file, identity);
      if (after && !takeOver(file, identity)) return { type: "theirs" };
      taken += 1;
      return { type: "ours", after, end: () => replaceFile(file, DONE) };
    },
    [Symbol.dispose]() {
      if (taken > 0 && isSweepDue(directory)) removeDone(directory);
    },
  };
}

function readHolder(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

/** False where another process was first. */
function createFile(file: string, text: string): boolean {
  try {
    writeFileSync(file, text, { flag: "wx" });
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw cause;
  }
}

/** The file is there all the time, so that nobody takes a turn as if there had been none before. */
function takeOver(file: string, identity: string): boolean {
  const holder = readHolder(file);
  if (holder !== undefined && holder !== DONE && isProcessAlive(holder)) return false;
  replaceFile(file, identity);
  return readHolder(file) === identity;
}

/** Many builds at a time leave many files: not each of them reads all of these. */
function isSweepDue(directory: string): boolean {
  const file = join(directory, SWEPT);
  const swept = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (Date.now() - swept < KEEP_DONE) return false;
  writeFileSync(file, "");
  return true;
}

function removeDone(directory: string): void {
  for (const name of readdirSync(directory)) {
    const file = join(directory, name);
    const ended = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - ended > KEEP_DONE && readHolder(file) === DONE) rmSync(file, { force: true });
  }
}

function replaceFile(file: string, text: string): void {
  const temporary = `${file}.${process.pid}`;
  writeFileSync(temporary, text);
  renameSync(temporary, file);
}
