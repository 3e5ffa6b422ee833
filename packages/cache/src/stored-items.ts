import { type Dirent, lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type Digest, parseDigest } from "@varve/oci";
import type { Memo } from "./ports.ts";

/** Something in the store that can be evicted by itself. */
export interface StoredItem {
  readonly kind: "blob" | "layer" | "cache-mount" | "memo" | "damaged";
  readonly path: string;
  /** Of a blob; the diff ID of an extracted layer. */
  readonly digest: Digest | undefined;
  /** On the disk. */
  readonly bytes: number;
  /** Milliseconds since 1970, to the hour. */
  readonly lastUsed: number;
}

const SIZES = "layer-size/1";

/** All of it; what another process removes meanwhile is left out. */
export async function listStoredItems(root: string, memo: Memo): Promise<readonly StoredItem[]> {
  const layers = await Promise.all(listLayers(root).map((layer) => measureLayer(layer, memo)));
  return [...listBlobs(root), ...layers, ...listCacheMounts(root), ...listMemos(root), ...listDamaged(root)];
}

function listBlobs(root: string): readonly StoredItem[] {
  return hexNames(join(root, "blobs", "sha256")).flatMap(({ path, name }) => {
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return [];
    const digest = parseDigest(`sha256:${name}`);
    return [{ kind: "blob", path, digest, bytes: stat.blocks * 512, lastUsed: stat.mtimeMs }];
  });
}

interface LayerPlace {
  readonly path: string;
  readonly digest: Digest;
  readonly lastUsed: number;
}

function listLayers(root: string): readonly LayerPlace[] {
  return hexNames(join(root, "layers")).flatMap(({ path, name }) => {
    const stat = lstatSync(path, { throwIfNoEntry: false });
    return stat === undefined ? [] : [{ path, digest: parseDigest(`sha256:${name}`), lastUsed: stat.mtimeMs }];
  });
}

/** An extracted layer never changes, so it is measured once. */
async function measureLayer({ path, digest, lastUsed }: LayerPlace, memo: Memo): Promise<StoredItem> {
  const known = await memo.get(SIZES, digest);
  const bytes = known === undefined ? diskUsage(path) : Number(Buffer.from(known).toString("utf8"));
  if (known === undefined) await memo.put(SIZES, digest, Buffer.from(String(bytes)));
  return { kind: "layer", path, digest, bytes, lastUsed };
}

function listCacheMounts(root: string): readonly StoredItem[] {
  const directory = join(root, "cache-mounts");
  return entriesOf(directory).flatMap(({ name }) => {
    const path = join(directory, name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    return stat === undefined
      ? []
      : [{ kind: "cache-mount", path, digest: undefined, bytes: diskUsage(path), lastUsed: stat.mtimeMs }];
  });
}

/** Values that are files of their own; lost without harm. */
function listMemos(root: string): readonly StoredItem[] {
  return entriesOf(join(root, "memo")).flatMap(({ name }) =>
    hexNames(join(root, "memo", name)).flatMap(({ path }) => {
      const stat = lstatSync(path, { throwIfNoEntry: false });
      if (stat === undefined) return [];
      return [{ kind: "memo", path, digest: undefined, bytes: stat.blocks * 512, lastUsed: stat.mtimeMs }];
    }),
  );
}

function listDamaged(root: string): readonly StoredItem[] {
  return hexNames(join(root, "damaged")).flatMap(({ path }) => {
    const stat = lstatSync(path, { throwIfNoEntry: false });
    return stat === undefined
      ? []
      : [{ kind: "damaged", path, digest: undefined, bytes: stat.blocks * 512, lastUsed: 0 }];
  });
}

/** Files that are being written have other names. */
function hexNames(directory: string): readonly { readonly path: string; readonly name: string }[] {
  return entriesOf(directory)
    .filter(({ name }) => /^[0-9a-f]{64}$/.test(name))
    .map(({ name }) => ({ path: join(directory, name), name }));
}

/** Bytes on the disk of all below `path`, each file once however many names it has; 0 where there is nothing. */
export function diskUsage(path: string, seen: Set<string> = new Set()): number {
  let sum = 0;
  for (const entry of entriesOf(path)) {
    const child = join(path, entry.name);
    const stat = lstatSync(child, { throwIfNoEntry: false });
    if (stat === undefined || seen.has(`${stat.dev}:${stat.ino}`)) continue;
    if (stat.nlink > 1) seen.add(`${stat.dev}:${stat.ino}`);
    sum += stat.blocks * 512 + (stat.isDirectory() ? diskUsage(child, seen) : 0);
  }
  return sum;
}

/** What a build removes meanwhile is not there. */
function entriesOf(path: string): readonly Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch {
    return [];
  }
}
