import { statfsSync } from "node:fs";
import type { LocalStore } from "@varve/cache";
import { type BuildOptions, listMountedImages } from "@varve/executor";
import type { Digest } from "@varve/oci";
import { parseBytes } from "./build-settings.ts";

/** Of the disk that holds the store, where nobody says how much it may take; as BuildKit has it. */
const SHARE = 0.6;

/** Extracted layers that mounted images are made of. */
export async function pinnedLayers(store: LocalStore): Promise<ReadonlySet<Digest>> {
  return new Set((await listMountedImages(store)).flatMap(({ layers }) => layers));
}

/** Bytes that the store at `path` may take: VARVE_MAX_USED_SPACE, or 60 % of its disk; 0: no limit. @throws UsageError */
export function storeBudget(path: string): number {
  const words = process.env["VARVE_MAX_USED_SPACE"];
  if (words !== undefined && words !== "") return parseBytes(words);
  const { blocks, bsize } = statfsSync(path);
  return Math.floor(blocks * bsize * SHARE);
}

/** `keepWithinBudget`, whose failure is a warning: a build that is done does not fail for it. */
export async function tryToKeepWithinBudget({ store, signal, onEvent }: BuildOptions): Promise<void> {
  try {
    await keepWithinBudget(store, signal);
  } catch (error) {
    if (signal.aborted) throw error;
    onEvent({ type: "warning", message: `The store was not made smaller: ${(error as Error).message}` });
  }
}

/**
 * Evicts what was not used for the longest time, where the store takes more than its budget. Images with a name stay, and what running builds need.
 */
async function keepWithinBudget(store: LocalStore, signal: AbortSignal): Promise<void> {
  const budget = storeBudget(store.path);
  const { blocks, bfree, bsize } = statfsSync(store.path);
  // Where the whole disk holds less, the store does.
  if (budget === 0 || (blocks - bfree) * bsize <= budget) return;
  await store.evict({
    maxUsedSpace: budget,
    unusedSince: undefined,
    images: "keep",
    pinned: await pinnedLayers(store),
    signal,
  });
}
