import { setTimeout } from "node:timers/promises";
import type { Level } from "level";
import { CacheError } from "./errors.ts";

export type Database = Level<string, Uint8Array>;

/**
 * One LevelDB for many processes. LevelDB admits one process at a time, so it is opened for what is to be done now and
 * closed right after: tasks that come together share an opening, and a process that finds it open elsewhere waits a
 * few milliseconds and tries again.
 */
export interface SharedLevel extends AsyncDisposable {
  /** Runs `task` while this process alone has the database open. Tasks must be short. */
  run<T>(task: (database: Database) => Promise<T>): Promise<T>;
}

/** Milliseconds the database stays open for more tasks; others wait no longer than these and one batch of tasks. */
const LINGER = 4;
const MAX_OPEN = 25;
const RETRY = { least: 1, most: 12 };
/** A holder that does not let go for this long is no build at work. */
const GIVE_UP = 30_000;

interface Waiting {
  readonly task: (database: Database) => Promise<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** A shared database at `path`; nothing is loaded or opened before the first task. */
export function createSharedLevel(
  path: string,
  options: { readonly onWarning: (message: string) => void },
): SharedLevel {
  const queue: Waiting[] = [];
  let working: Promise<void> | undefined;
  const start = (): void => {
    working ??= drain(path, queue, options).finally(() => {
      working = undefined;
      if (queue.length > 0) start();
    });
  };
  return {
    run<T>(task: (database: Database) => Promise<T>): Promise<T> {
      return new Promise<T>((resolve, reject) => {
        queue.push({ task, resolve: resolve as (value: unknown) => void, reject });
        start();
      });
    },
    async [Symbol.asyncDispose]() {
      for (let current = working; current !== undefined; current = working) await current;
    },
  };
}

async function drain(
  path: string,
  queue: Waiting[],
  options: { readonly onWarning: (message: string) => void },
): Promise<void> {
  let database: Database;
  try {
    database = await openWithRetry(path, options);
  } catch (error) {
    for (const waiting of queue.splice(0)) waiting.reject(error);
    return;
  }
  const opened = performance.now();
  try {
    while (queue.length > 0) {
      await Promise.all(queue.splice(0).map((waiting) => waiting.task(database).then(waiting.resolve, waiting.reject)));
      if (queue.length === 0 && performance.now() - opened < MAX_OPEN) await setTimeout(LINGER);
      if (performance.now() - opened > MAX_OPEN) break;
    }
  } finally {
    await database.close();
  }
}

async function openWithRetry(
  path: string,
  { onWarning }: { readonly onWarning: (message: string) => void },
): Promise<Database> {
  const { Level } = await import("level");
  const started = performance.now();
  let repaired = false;
  for (;;) {
    const database: Database = new Level<string, Uint8Array>(path, { keyEncoding: "utf8", valueEncoding: "view" });
    try {
      await database.open();
      return database;
    } catch (cause) {
      if (isLocked(cause)) {
        if (performance.now() - started > GIVE_UP)
          throw new CacheError(
            "STORE_LOCKED",
            `Cannot open index "${path}": another process has kept it open for ${GIVE_UP / 1000} s`,
            { cause, hint: "End that process" },
          );
        await setTimeout(RETRY.least + Math.random() * (RETRY.most - RETRY.least));
      } else {
        if (repaired) throw storeUnusable(path, cause);
        repaired = true;
        await repair(path, cause, onWarning);
      }
    }
  }
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
