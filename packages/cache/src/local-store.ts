import { existsSync, mkdirSync, statSync, utimesSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createLayout, type Digest, hexOf } from "@varve/oci";
import { CacheError } from "./errors.ts";
import { createLocalContent, explain } from "./local-content.ts";
import { createLocalIndex } from "./local-index.ts";
import { createLocalMemo } from "./local-memo.ts";
import type { LocalStore } from "./ports.ts";
import { processIdentity } from "./process-identity.ts";
import { createSharedLevel } from "./shared-level.ts";
import { removeTree, sweepLeftovers } from "./sweep.ts";

export interface LocalStoreOptions {
  /** Told of what was repaired. */
  readonly onWarning?: (message: string) => void;
}

const VERSION = 1;
const VERSION_FILE = "varve-store";
/** How often a use is written down: hours are enough to tell what is old. Milliseconds. */
const USE_GRANULARITY = 3_600_000;

/**
 * Opens the store at `path` and makes it where there is none. Many processes may have it open at once.
 * @throws CacheError `FORMAT_UNSUPPORTED` for a store of a newer varve, `STORE_UNWRITABLE`, `DISK_FULL`.
 */
export async function openLocalStore(path: string, options: LocalStoreOptions = {}): Promise<LocalStore> {
  const root = resolve(path);
  await explain(root, () => prepare(root));
  const level = createSharedLevel(join(root, "index"), { onWarning: options.onWarning ?? (() => {}) });
  const identity = processIdentity();
  const lease = await createLease(root, identity);
  const temporaries = join(root, "tmp");
  const layout = await createLayout(root, { temporary: temporaries, lock: (change) => level.run(() => change()) });
  const content = createLocalContent(layout);
  const made: string[] = [];
  const used = new Set<Digest>();
  await sweepLeftovers(root);
  return {
    path: root,
    content,
    index: createLocalIndex(level, content),
    memo: createLocalMemo(level, { directory: join(root, "memo") }),
    blobPath(digest) {
      const file = layout.blobPath(digest);
      return existsSync(file) ? file : undefined;
    },
    layerPath: (digest) => join(root, "layers", hexOf(digest)),
    async makeTemporaryDirectory(parent) {
      const directory = await explain(root, () => mkdtemp(join(root, parent, `${identity}-`)));
      made.push(directory);
      return directory;
    },
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
      await rm(lease, { force: true });
    },
  };
}

async function prepare(root: string): Promise<void> {
  for (const name of ["tmp", "layers", "mounts", "leases"]) mkdirSync(join(root, name), { recursive: true });
  await checkVersion(root);
}

async function checkVersion(root: string): Promise<void> {
  const file = join(root, VERSION_FILE);
  const text = await readFile(file, "utf8").catch(() => undefined);
  if (text === undefined) return writeFile(file, `${VERSION}\n`);
  const version = Number(text);
  if (version === VERSION) return undefined;
  throw new CacheError(
    "FORMAT_UNSUPPORTED",
    `Cannot open store "${root}": its format is ${text.trim()}; this varve reads ${VERSION}`,
    {
      hint: "Use the varve that made it, or another store with --store",
    },
  );
}

/** Tells other processes since when this one uses the store: they evict nothing that was used later. */
async function createLease(root: string, identity: string): Promise<string> {
  const directory = join(root, "leases");
  await mkdir(directory, { recursive: true });
  const names = await readdir(directory);
  const path = join(directory, `${identity}-${names.length}-${Math.random().toString(36).slice(2)}`);
  await explain(root, () => writeFile(path, ""));
  return path;
}

/** The time of a file is when it was last used, to the hour. */
function touch(path: string): void {
  try {
    const now = Date.now();
    if (now - statSync(path).mtimeMs > USE_GRANULARITY) utimesSync(path, now / 1000, now / 1000);
  } catch {
    // Not there: nothing to remember.
  }
}
