import { existsSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { Level } from "level";
import { CacheError } from "./errors.ts";

export type Database = Level<string, Uint8Array>;

/**
 * One LevelDB for many processes. LevelDB admits one process at a time: it is opened when it is first needed, and closed
 * when it is not needed for a while or another process wants it, which says so with a file beside it.
 */
export interface SharedLevel extends AsyncDisposable {
  /** Runs `task` while this process alone has the database open. Tasks must be short. */
  run<T>(task: (database: Database) => Promise<T>): Promise<T>;
}

/** Milliseconds the database stays open without a task, and between looks for others that want it. */
const IDLE = 100;
const LOOK = 3;
const RETRY = { least: 2, most: 8 };
/**
 * Milliseconds that whoever has something to do keeps it although others want it: less than a small build takes in all,
 * and more than an opening takes.
 */
const SLICE = 25;
/** Milliseconds that whoever let go for others waits before it opens again. */
const COURTESY = 6;
/** A holder that does not let go for this long is no build at work; while processes take turns, however slowly, they are. */
const GIVE_UP = 30_000;
/** Every opening may leave a small table, and every look-up reads all of these; a short opening leaves no time to merge them. */
const MOST_TABLES = 6;
const LONGEST_MERGE = 200;

interface Waiting {
  readonly task: (database: Database) => Promise<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

interface Shared {
  readonly path: string;
  readonly onWarning: (message: string) => void;
  readonly queue: Waiting[];
  /** Ends the pause of whoever has the database open. */
  wake: () => void;
  isEnding: boolean;
}

/** A shared database at `path`; nothing is loaded or opened before the first task. */
export function createSharedLevel(
  path: string,
  { onWarning }: { readonly onWarning: (message: string) => void },
): SharedLevel {
  const shared: Shared = { path, onWarning, queue: [], wake: () => {}, isEnding: false };
  let working: Promise<void> | undefined;
  const start = (): void => {
    working ??= drain(shared).finally(() => {
      working = undefined;
      if (shared.queue.length > 0) start();
    });
  };
  return {
    run<T>(task: (database: Database) => Promise<T>): Promise<T> {
      return new Promise<T>((resolve, reject) => {
        shared.queue.push({ task, resolve: resolve as (value: unknown) => void, reject });
        shared.wake();
        start();
      });
    },
    async [Symbol.asyncDispose]() {
      shared.isEnding = true;
      shared.wake();
      for (let current = working; current !== undefined; current = working) await current;
    },
  };
}

async function drain(shared: Shared): Promise<void> {
  let database: Database;
  try {
    database = await openWithRetry(shared);
  } catch (error) {
    for (const waiting of shared.queue.splice(0)) waiting.reject(error);
    return;
  }
  try {
    await runTasks(database, shared);
    await mergeTables(database);
  } finally {
    await database.close();
  }
  if (isWanted(shared)) await setTimeout(COURTESY);
}

/** Until there is no task for a while, or others want the database. */
async function runTasks(database: Database, shared: Shared): Promise<void> {
  const started = now();
  for (let idleSince = started; ;) {
    const batch = shared.queue.splice(0);
    await Promise.all(batch.map((waiting) => waiting.task(database).then(waiting.resolve, waiting.reject)));
    if (batch.length > 0) idleSince = now();
    const isOver = now() - started > SLICE || now() - idleSince > LOOK;
    if (isOver && isWanted(shared)) return;
    if (shared.queue.length > 0) continue;
    if (shared.isEnding || now() - idleSince > IDLE) return;
    await pause(shared);
  }
}

/** Milliseconds since the process started; `performance` takes one to be loaded. */
function now(): number {
  return process.uptime() * 1000;
}

async function pause(shared: Shared): Promise<void> {
  await Promise.race([setTimeout(LOOK), new Promise<void>((resolve) => (shared.wake = resolve))]);
  shared.wake = () => {};
}

function wantedFile({ path }: Shared): string {
  return `${path}.wanted`;
}

function isWanted(shared: Shared): boolean {
  return existsSync(wantedFile(shared));
}

/** Gives LevelDB the time to merge the tables of many short openings, which it began to do by itself. */
async function mergeTables(database: Database): Promise<void> {
  const { getProperty } = database as { readonly getProperty?: (name: string) => string };
  const count = (): number => Number(getProperty?.call(database, "leveldb.num-files-at-level0") ?? 0);
  const started = now();
  while (count() > MOST_TABLES && now() - started < LONGEST_MERGE) await setTimeout(2);
}

async function openWithRetry(shared: Shared): Promise<Database> {
  const { path, onWarning } = shared;
  const { Level } = await import("level");
  let [since, turn] = [now(), lastOpened(path)];
  let [repaired, waited] = [false, false];
  for (;;) {
    const database: Database = new Level<string, Uint8Array>(path, { keyEncoding: "utf8", valueEncoding: "view" });
    try {
      await database.open();
      if (waited) rmSync(wantedFile(shared), { force: true });
      return database;
    } catch (cause) {
      if (isLocked(cause)) {
        const latest = lastOpened(path);
        if (latest !== turn) [since, turn] = [now(), latest];
        if (now() - since > GIVE_UP)
          throw new CacheError(
            "STORE_LOCKED",
            `Cannot open index "${path}": another process has kept it open for ${GIVE_UP / 1000} s`,
            { cause, hint: "End that process" },
          );
        waited = true;
        writeFileSync(wantedFile(shared), "");
        await setTimeout(RETRY.least + Math.random() * (RETRY.most - RETRY.least));
      } else {
        if (repaired) throw storeUnusable(path, cause);
        repaired = true;
        await repair(path, cause, onWarning);
      }
    }
  }
}

/** When a process opened the database last: LevelDB writes this file anew each time. Milliseconds; undefined before the first. */
function lastOpened(path: string): number | undefined {
  return statSync(join(path, "CURRENT"), { throwIfNoEntry: false })?.mtimeMs;
}

function isLocked(error: unknown): boolean {
  return codesOf(error).includes("LEVEL_LOCKED");
}

function codesOf(error: unknown): readonly (string | undefined)[] {
  const codes: (string | undefined)[] = [];
  for (let each = error; each instanceof Error; each = each.cause) codes.push((each as NodeJS.ErrnoException).code);
  return codes;
}

function storeUnusable(path: string, cause: unknown): CacheError {
  const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause);
  return new CacheError("STORE_UNWRITABLE", `Cannot open index "${path}": ${reason}`, {
    cause,
    hint: "Check the store's permissions and disk, or choose another with --store",
  });
}

/** A damaged index is repaired as far as LevelDB can; what it loses is built again. */
async function repair(path: string, cause: unknown, onWarning: (message: string) => void): Promise<void> {
  if (!codesOf(cause).includes("LEVEL_CORRUPTION")) throw storeUnusable(path, cause);
  const { ClassicLevel } = await import("classic-level");
  onWarning(`The store's index "${path}" was damaged and has been repaired; some steps may run again`);
  await ClassicLevel.repair(path);
}
