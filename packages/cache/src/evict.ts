import { lstatSync, renameSync } from "node:fs";
import { join } from "node:path";
import {
  type Descriptor,
  type Digest,
  isIndexMediaType,
  isManifestMediaType,
  type Layout,
  parseIndex,
  parseManifest,
  readContent,
  REF_NAME,
} from "@varve/oci";
import { oldestLease } from "./leases.ts";
import type { Evicted, EvictOptions, Memo } from "./ports.ts";
import { removeRecords } from "./remove-records.ts";
import type { SharedLevel } from "./shared-level.ts";
import { listStoredItems, type StoredItem } from "./stored-items.ts";
import { removeTree } from "./sweep.ts";
import { USE_GRANULARITY } from "./touch.ts";

/** The parts of a store that eviction works on. */
export interface EvictPlace {
  readonly root: string;
  /** Of this process. */
  readonly lease: string;
  readonly level: SharedLevel;
  readonly layout: Layout;
  readonly memo: Memo;
  /** Makes a directory on the store's file system. */
  readonly makeTemporaryDirectory: () => Promise<string>;
}

/** A clock that is set back a little must not make what is in use look old: milliseconds. */
const SLACK = 60_000;
/** Items that are moved before others get a turn. */
const BATCH = 100;

/**
 * Makes room: the least recently used goes first, and nothing that a running process may need. Everything goes by a
 * rename, so that it is whole or absent; what was used in that moment comes back. Records whose blobs went go after
 * them, and so do names of images without names that are no longer whole.
 */
export async function evict(place: EvictPlace, options: EvictOptions): Promise<Evicted> {
  const items = await listStoredItems(place.root, place.memo);
  const kept = await keptBlobs(place.layout, options);
  const inUseSince = oldestLease(place.root, place.lease);
  const before = Math.min(options.unusedSince ?? Number.POSITIVE_INFINITY, inUseSince - USE_GRANULARITY - SLACK);
  const mayGo = ({ kind, digest, lastUsed }: StoredItem): boolean =>
    lastUsed < before && !(digest !== undefined && (kind === "layer" ? options.pinned.has(digest) : kept.has(digest)));
  const used = items.reduce((sum, { bytes }) => sum + bytes, 0);
  const chosen = choose(items.filter(mayGo), used - (options.maxUsedSpace ?? 0));
  const gone = await remove(chosen, place, options);
  const blobs = new Set(gone.flatMap(({ kind, digest }) => (kind === "blob" && digest !== undefined ? [digest] : [])));
  await removeRecords(place.level, blobs);
  await unlistBroken(place.layout, blobs);
  const bytes = gone.reduce((sum, item) => sum + item.bytes, 0);
  return { items: gone.length, bytes, remaining: used - bytes };
}

/** The oldest, until they make up `excess` bytes. */
function choose(items: readonly StoredItem[], excess: number): readonly StoredItem[] {
  const chosen: StoredItem[] = [];
  let freed = 0;
  for (const item of items.toSorted((a, b) => a.lastUsed - b.lastUsed)) {
    if (freed >= excess) break;
    chosen.push(item);
    freed += item.bytes;
  }
  return chosen;
}

async function remove(
  items: readonly StoredItem[],
  { makeTemporaryDirectory }: EvictPlace,
  { signal }: EvictOptions,
): Promise<readonly StoredItem[]> {
  const gone: StoredItem[] = [];
  for (let start = 0; start < items.length; start += BATCH) {
    signal.throwIfAborted();
    const trash = await makeTemporaryDirectory();
    const batch = items.slice(start, start + BATCH);
    gone.push(...batch.filter((item, position) => moveAway(item, join(trash, String(position)))));
    await removeTree(trash);
  }
  return gone;
}

/** False where it is gone already, or is used now. */
function moveAway({ path, lastUsed }: StoredItem, target: string): boolean {
  try {
    if (lstatSync(path).mtimeMs !== lastUsed && lastUsed !== 0) return false;
    renameSync(path, target);
    if (lastUsed === 0 || lstatSync(target).mtimeMs === lastUsed) return true;
    renameSync(target, path);
    return false;
  } catch {
    return false;
  }
}

/** What images that stay lead to: those with a name, unless these are to go as well. */
async function keptBlobs(layout: Layout, { images }: EvictOptions): Promise<ReadonlySet<Digest>> {
  const kept = new Set<Digest>();
  if (images === "evict") return kept;
  for (const descriptor of await layout.list())
    if (descriptor.annotations?.[REF_NAME] !== undefined) await follow(descriptor, layout, kept);
  return kept;
}

async function follow(descriptor: Descriptor, layout: Layout, seen: Set<Digest>): Promise<void> {
  if (seen.has(descriptor.digest)) return;
  seen.add(descriptor.digest);
  for (const child of await childrenOf(descriptor, layout)) await follow(child, layout, seen);
}

/** None of what is damaged or absent. */
async function childrenOf(descriptor: Descriptor, layout: Layout): Promise<readonly Descriptor[]> {
  const isIndex = isIndexMediaType(descriptor.mediaType);
  if (!isIndex && !isManifestMediaType(descriptor.mediaType)) return [];
  try {
    const bytes = await readContent(layout, descriptor);
    if (isIndex) return parseIndex(bytes).manifests;
    const { config, layers } = parseManifest(bytes);
    return [config, ...layers];
  } catch {
    return [];
  }
}

/** Images that are no longer whole are not listed. */
async function unlistBroken(layout: Layout, gone: ReadonlySet<Digest>): Promise<void> {
  if (gone.size === 0) return;
  for (const descriptor of await layout.list()) {
    const blobs = new Set<Digest>();
    await follow(descriptor, layout, blobs);
    if ([...blobs].some((digest) => gone.has(digest))) await layout.remove(descriptor.digest);
  }
}
