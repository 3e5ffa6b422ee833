import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { createLayout, type Digest, hexOf } from "@varve/oci";
import { CacheError } from "./errors.ts";
import { evict } from "./evict.ts";
import { createLease } from "./leases.ts";
import { createLocalContent, explain, storeUnwritable } from "./local-content.ts";
import { createLocalIndex } from "./local-index.ts";
import { createLocalMemo } from "./local-memo.ts";
import type { LocalStore } from "./ports.ts";
import { processIdentity } from "./process-identity.ts";
import { createRecentRecords } from "./recent-records.ts";
import { createSharedLevel } from "./shared-level.ts";
import { removeTree, sweepLeftovers } from "./sweep.ts";
import { touch } from "./touch.ts";

export interface LocalStoreOptions {
  /** Told of what was repaired. */
  readonly onWarning?: (message: string) => void;
}

const VERSION = 1;
const VERSION_FILE = "varve-store";

/**
 * Opens the store at `path` and makes it where there is none. Many processes may have it open at once.
 * @throws CacheError `FORMAT_UNSUPPORTED` for a store of a newer varve, `STORE_UNWRITABLE`, `DISK_FULL`.
 */
export async function openLocalStore(path: string, options: LocalStoreOptions = {}): Promise<LocalStore> {
  const root = resolve(path);
  await explain(root, async () => prepare(root));
  const level = createSharedLevel(join(root, "index"), { onWarning: options.onWarning ?? (() => {}) });
  const identity = processIdentity();
  const lease = await explain(root, async () => createLease(root, identity));
  // Named after this process, as all that is swept once it is gone.
  const temporary = join(root, "tmp", `${identity}-`);
  const layout = await createLayout(root, { temporary, lock: (change) => level.run(() => change()) });
  const content = createLocalContent(layout);
  const made: string[] = [];
  const used = new Set<Digest>();
  await sweepLeftovers(root);
  const memo = createLocalMemo(level, { directory: join(root, "memo") });
  const index = createLocalIndex(level, { content, recent: createRecentRecords(root) });
  const makeTemporaryDirectory: LocalStore["makeTemporaryDirectory"] = async (parent) => {
    const directory = await explain(root, async () => mkdtempSync(join(root, parent, `${identity}-`)));
    made.push(directory);
    return directory;
  };
  const evictPlace = { root, lease, level, layout, memo, makeTemporaryDirectory: () => makeTemporaryDirectory("tmp") };
  return {
    path: root,
    content,
    index,
    memo,
    recall: (name) => index.recall(name),
    blobPath(digest) {
      const file = layout.blobPath(digest);
      return existsSync(file) ? file : undefined;
    },
    layerPath: (digest) => join(root, "layers", hexOf(digest)),
    makeTemporaryDirectory,
    evict: (options) => evict(evictPlace, options),
    use(digests) {
      for (const digest of digests) {
        if (used.has(digest)) continue;
        used.add(digest);
        for (const file of [layout.blobPath(digest), join(root, "layers", hexOf(digest))]) touch(file);
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(made.map((directory) => removeTree(directory)));
      await level[Symbol.asyncDispose]();
      rmSync(lease, { force: true });
    },
  };
}

function prepare(root: string): void {
  makeDirectory(root);
  for (const name of ["tmp", "layers", "mounts", "leases"]) mkdirSync(join(root, name), { recursive: true });
  checkVersion(root);
}

/** With its parents, one by one: where a file system says ENOENT, as /proc does, Node's recursive form tries without end. */
function makeDirectory(path: string): void {
  if (existsSync(path)) return;
  makeDirectory(dirname(path));
  try {
    mkdirSync(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") throw storeUnwritable(path, cause);
    if (code !== "EEXIST") throw cause;
  }
}

function checkVersion(root: string): void {
  const file = join(root, VERSION_FILE);
  const text = readVersion(file);
  if (text === "") return writeVersion(file);
  if (Number(text) === VERSION) return undefined;
  throw new CacheError(
    "FORMAT_UNSUPPORTED",
    `Cannot open store "${root}": its format is ${text.trim()}; this varve reads ${VERSION}`,
    {
      hint: "Use the varve that made it, or another store with --store",
    },
  );
}

/** Whole from the start: other processes may open the new store at the same time. */
function writeVersion(file: string): void {
  const temporary = `${file}.${processIdentity()}`;
  writeFileSync(temporary, `${VERSION}\n`);
  renameSync(temporary, file);
}

function readVersion(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
