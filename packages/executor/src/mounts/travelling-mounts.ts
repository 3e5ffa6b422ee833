import { createHash } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { LocalStore, MountCache, RecordLayer } from "@varve/cache";
import { applyLayer, joinHardlinks, packLayer, type ScannedEntry, scanDirectory } from "@varve/layer";
import { digestOf, formatPlatform, hexOf, hostPlatform } from "@varve/oci";
import { storeLayerIndex } from "../layers.ts";
import type { Compression } from "../session.ts";

/** What tells one cache mount from another. */
export interface MountIdentity {
  readonly id: string;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

/** Cache mounts whose contents go from machine to machine, for those whose ids were named. */
export interface TravellingMounts {
  /** Fills the empty directory of a new cache with what was saved elsewhere, where there is something. */
  restore(mount: MountIdentity, directory: string): Promise<void>;
  /** Tells that a step is about to use the cache in this directory. */
  use(mount: MountIdentity, directory: string): void;
  /** Saves the caches that steps changed: the last writer wins. */
  save(): Promise<void>;
}

export interface TravellingMountsOptions {
  readonly store: LocalStore;
  readonly cache: MountCache;
  /** Ids; `*` names all. */
  readonly ids: readonly string[];
  readonly compression: Compression;
  readonly signal: AbortSignal;
  readonly onWarning: (message: string) => void;
}

/** A cache with more in its files is not saved, nor restored: bytes. */
const BUDGET = 2 * 1024 ** 3;

interface Used {
  readonly mount: MountIdentity;
  /** Of what it held before the first step used it. */
  readonly before: string;
}

/** Cache mounts that travel by `cache`. What goes wrong is a warning: a cache may be empty at any time. */
export function createTravellingMounts(options: TravellingMountsOptions): TravellingMounts {
  const used = new Map<string, Used>();
  const travels = ({ id }: MountIdentity): boolean => options.ids.includes(id) || options.ids.includes("*");
  const orWarn = async (doing: string, { id }: MountIdentity, task: () => Promise<void>): Promise<void> => {
    try {
      await task();
    } catch (error) {
      options.signal.throwIfAborted();
      options.onWarning(
        `Cache mount "${id}" was not ${doing}: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  };
  return {
    async restore(mount, directory) {
      if (travels(mount)) await orWarn("restored", mount, () => restore(mount, directory, options));
    },
    use(mount, directory) {
      if (travels(mount) && !used.has(directory)) used.set(directory, { mount, before: stateOf(scan(directory)) });
    },
    async save() {
      for (const [directory, { mount, before }] of used)
        await orWarn("saved", mount, () => saveChanged(directory, { mount, before }, options));
    },
  };
}

/** 64 hexadecimal digits, as docs/protocol.md wants them, "Cache mounts". */
function nameOf({ id, uid, gid, mode }: MountIdentity): string {
  return hexOf(digestOf(Buffer.from(JSON.stringify([id, uid, gid, mode, formatPlatform(hostPlatform())]))));
}

async function restore(mount: MountIdentity, directory: string, options: TravellingMountsOptions): Promise<void> {
  const { cache, signal } = options;
  const layer = await cache.getMount(nameOf(mount));
  if (layer === undefined) return;
  const content = cache.content.fetch(layer.descriptor, { signal });
  try {
    const limits = { bytes: BUDGET };
    await applyLayer(content, { directory, expectedDiffId: layer.diffId, limits, signal });
  } catch (error) {
    await emptyDirectory(directory);
    throw error;
  }
}

async function emptyDirectory(directory: string): Promise<void> {
  for (const name of await readdir(directory)) await rm(join(directory, name), { recursive: true, force: true });
}

async function saveChanged(
  directory: string,
  { mount, before }: Used,
  { cache, store, compression, signal }: TravellingMountsOptions,
): Promise<void> {
  const entries = scan(directory);
  if (stateOf(entries) === before) return;
  const bytes = entries.reduce((sum, { size }) => sum + size, 0);
  if (bytes > BUDGET) throw new Error(`it holds ${bytes} bytes; wanted at most ${BUDGET}`);
  const packed = await packLayer(joinHardlinks(entries), {
    store: store.content,
    compression,
    signal,
  });
  const { layer, contentDigest } = packed;
  const saved: RecordLayer = { ...layer, contentDigest, index: await storeLayerIndex(packed, store) };
  await cache.putMount(nameOf(mount), saved, store.content, { signal });
}

function scan(directory: string): readonly ScannedEntry[] {
  return scanDirectory(directory, { xattrs: "read" });
}

/** Changes with every file that is written, made or removed. */
function stateOf(entries: readonly ScannedEntry[]): string {
  const hash = createHash("sha256");
  for (const { path, size, mode, mtime } of entries) hash.update(`${path}\n${size} ${mode} ${mtime}\n`);
  return hash.digest("hex");
}
