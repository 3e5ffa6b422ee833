import { ClassicLevel } from "classic-level";
import { Level } from "level";
import { ServerError } from "../errors.ts";
import { createRowCache } from "./row-cache.ts";

/** Rows as they will be once all changes before this one are on disk. */
export interface Transaction {
  readonly get: (key: string) => string | undefined;
  put(key: string, value: string): void;
  delete(key: string): void;
}

/** Keys and values in LevelDB, changed in transactions that are synced to disk together. */
export interface Database extends AsyncDisposable {
  /** A value that is on disk; undefined where there is none. */
  readonly get: (key: string) => string | undefined;
  /** Keys and values with `prefix`, in the order of keys; a snapshot of the moment of the call. */
  list(prefix: string, options?: ListOptions): AsyncIterable<readonly [key: string, value: string]>;
  /**
   * Runs `task` at once, by itself: it must not wait. Settles when what it changed, and what others changed before it,
   * is on disk. Where `task` throws, nothing of it remains.
   */
  change<T>(task: (rows: Transaction) => T): Promise<T>;
}

export interface ListOptions {
  /** The latest keys first. */
  readonly reverse?: boolean;
  /** Keys from this one on, behind the prefix. */
  readonly from?: string;
}

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Changes that are written to disk in one go. */
interface Batch {
  readonly rows: Map<string, string | undefined>;
  readonly waiting: Waiting[];
}

/**
 * Opens the database in directory `path` and makes it where there is none. One that a disk has damaged is repaired as
 * far as LevelDB can; `onRepair` is told. What it loses is built again.
 * @throws ServerError `STORAGE_LOCKED` where another process has it open.
 */
export async function openDatabase(path: string, onRepair: () => void): Promise<Database> {
  let level = await openOrRepair(path, onRepair);
  const cache = createRowCache((key) => level.getSync(key));
  let next = emptyBatch();
  let writing: { readonly batch: Batch; readonly done: Promise<void> } | undefined;
  const latest = (key: string): string | undefined => {
    if (next.rows.has(key)) return next.rows.get(key);
    return writing?.batch.rows.has(key) === true ? writing.batch.rows.get(key) : cache.get(key);
  };
  const write = async (batch: Batch): Promise<void> => {
    try {
      await writeRows(level, batch.rows);
      cache.update(batch.rows);
      for (const { resolve } of batch.waiting) resolve();
    } catch (error) {
      // Transactions behind this one may have read what is not on disk now: they fail with it. A log that broke off
      // may hide what is written behind it from the next start, so LevelDB begins a new one.
      for (const { reject } of [...batch.waiting, ...next.waiting]) reject(error);
      next = emptyBatch();
      level = await reopen(level, path);
    }
    writing = undefined;
    if (next.waiting.length > 0) flush();
  };
  const flush = (): void => {
    if (writing !== undefined || next.waiting.length === 0) return;
    const batch = next;
    next = emptyBatch();
    writing = { batch, done: Promise.resolve() };
    writing = { batch, done: write(batch) };
  };
  return {
    get: (key) => cache.get(key),
    list: (prefix, options = {}) => listRows(level, prefix, options),
    async change(task) {
      const changed = new Map<string, string | undefined>();
      const result = task({
        get: (key) => (changed.has(key) ? changed.get(key) : latest(key)),
        put: (key, value) => void changed.set(key, value),
        delete: (key) => void changed.set(key, undefined),
      });
      for (const [key, value] of changed) next.rows.set(key, value);
      if (next.rows.size === 0 && writing === undefined) return result;
      await new Promise<void>((resolve, reject) => {
        next.waiting.push({ resolve, reject });
        // A turn of the event loop collects what comes together.
        setImmediate(flush);
      });
      return result;
    },
    async [Symbol.asyncDispose]() {
      for (;;) {
        flush();
        if (writing === undefined) break;
        await writing.done;
      }
      await level.close();
    },
  };
}

function emptyBatch(): Batch {
  return { rows: new Map(), waiting: [] };
}

async function openOrRepair(path: string, onRepair: () => void): Promise<Level> {
  try {
    return await openLevel(path);
  } catch (error) {
    if (!codesOf(error).includes("LEVEL_CORRUPTION")) throw error;
    onRepair();
    await ClassicLevel.repair(path);
    return openLevel(path);
  }
}

/** Codes of an error and its causes. */
function codesOf(error: unknown): readonly (string | undefined)[] {
  const codes: (string | undefined)[] = [];
  for (let each = error; each instanceof Error; each = each.cause) codes.push((each as NodeJS.ErrnoException).code);
  return codes;
}

async function openLevel(path: string): Promise<Level> {
  const level = new Level(path, { keyEncoding: "utf8", valueEncoding: "utf8", cacheSize: 16 * 1024 * 1024 });
  try {
    await level.open();
  } catch (cause) {
    if (codesOf(cause).includes("LEVEL_LOCKED"))
      throw new ServerError("STORAGE_LOCKED", `Cannot open "${path}": another process has it open`, {
        cause,
        hint: "Stop the other server, or choose another directory with --data",
      });
    throw cause;
  }
  return level;
}

/** The database opened anew; the old one, closed, where that fails: then the next write tries again. */
async function reopen(level: Level, path: string): Promise<Level> {
  try {
    await level.close();
    return await openLevel(path);
  } catch {
    return level;
  }
}

async function writeRows(level: Level, rows: ReadonlyMap<string, string | undefined>): Promise<void> {
  if (rows.size === 0) return;
  const batch = level.batch();
  for (const [key, value] of rows) {
    if (value === undefined) batch.del(key);
    else batch.put(key, value);
  }
  await batch.write({ sync: true });
}

async function* listRows(
  level: Level,
  prefix: string,
  { reverse = false, from = "" }: ListOptions,
): AsyncGenerator<readonly [string, string]> {
  // 0xff stands in no key: all are UTF-8.
  for await (const [key, value] of level.iterator({ gte: prefix + from, lt: `${prefix}\u{10ffff}`, reverse }))
    yield [key, value];
}
