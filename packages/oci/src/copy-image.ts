import { setTimeout } from "node:timers/promises";
import type { ContentSource, ContentStore, Target, TransferOptions } from "./content.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";
import { encodeIndex } from "./encode.ts";
import type { ImageIndex } from "./image.ts";
import { isForeignLayerMediaType, isIndexMediaType, isManifestMediaType } from "./media-types.ts";
import { parseIndex, parseManifest } from "./parse-json.ts";
import { matchPlatform, type Platform } from "./platform.ts";
import { platformUnavailable } from "./resolve-image.ts";
import { createSemaphore, type Semaphore } from "./semaphore.ts";
import { asVerified, readChunks, readContent } from "./verify-content.ts";

/** Optional power of a target: takes content over from another repository of the same registry. */
export interface Mounter {
  /** True where the content is in the target's repository now. Distribution spec, "Mounting a blob from another repository". */
  mount(descriptor: Descriptor, fromRepository: string, options?: TransferOptions): Promise<boolean>;
}

/** Optional power of a target: takes a manifest or index and its tag at once. */
export interface TaggedPusher {
  /** Stores `bytes`, which are what `expected` says, and lets `tag` name them; replaces what it named. */
  pushTagged(
    expected: Descriptor,
    bytes: Uint8Array,
    options: TransferOptions & { readonly tag: string },
  ): Promise<void>;
}

export interface CopyOptions extends TransferOptions {
  /** Name given to the image at the target; undefined: none. */
  readonly tag?: string;
  /** Of an index, only the images for these are copied: one by its manifest, several by a smaller index. */
  readonly platforms?: readonly Platform[];
  /** Transfers at once; 4 where it is left out. */
  readonly concurrency?: number;
  /**
   * Told as bytes of a blob move; `current` reaches `descriptor.size`. Not called for what is there already, nor for a
   * manifest that goes with its tag.
   */
  readonly onProgress?: (descriptor: Descriptor, current: number) => void;
  /** Repositories of the target's registry that may hold a blob already. */
  readonly mountFrom?: (descriptor: Descriptor) => readonly string[];
}

/** Questions to the target at once: each costs no more than the way to it and back. */
const CHECKS = 8;

/** Where an image is copied to: content, and what else it can do. */
export type CopyTarget = ContentStore & Partial<Pick<Target, "tag"> & Mounter & TaggedPusher>;

/**
 * Copies what `descriptor` leads to (an index, a manifest, or a blob) from `source` to `target`: blobs before the
 * manifests that name them, each once, and nothing that is there already. Layers that must not be distributed stay
 * where they are. A push whose error says that it is `retryable` is tried again. Gives the descriptor of what was
 * copied: another one than was given where `platforms` chose from an index.
 * @throws OciError `PLATFORM_UNAVAILABLE`; the first error of source or target, after the other transfers were ended.
 */
export async function copyImage(
  source: ContentSource,
  target: CopyTarget,
  { descriptor, ...options }: CopyOptions & { readonly descriptor: Descriptor },
): Promise<Descriptor> {
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, ...(options.signal === undefined ? [] : [options.signal])]);
  const copier: Copier = {
    source,
    target,
    options: { ...options, signal },
    stop,
    copied: new Map(),
    metadata: new Map(),
    transfers: createSemaphore(options.concurrency ?? 4),
    checks: createSemaphore(CHECKS),
  };
  const chosen = await choosePlatforms(descriptor, copier);
  if (options.tag === undefined) await copyNode(chosen, copier);
  else await copyTagged(chosen, options.tag, copier);
  return chosen;
}

interface Copier {
  readonly source: ContentSource;
  readonly target: CopyTarget;
  readonly options: CopyOptions & { readonly signal: AbortSignal };
  /** Ends what still runs once something failed. */
  readonly stop: AbortController;
  readonly copied: Map<Digest, Promise<void>>;
  /** Manifests and indexes that were read on the way. */
  readonly metadata: Map<Digest, Uint8Array>;
  readonly transfers: Semaphore;
  readonly checks: Semaphore;
}

async function choosePlatforms(descriptor: Descriptor, copier: Copier): Promise<Descriptor> {
  const { platforms } = copier.options;
  if (platforms === undefined || !isIndexMediaType(descriptor.mediaType)) return descriptor;
  const index = parseIndex(await readMetadata(descriptor, copier));
  const wanted = new Set(platforms.map((platform) => findFor(platform, { descriptor, index })));
  const [first] = wanted;
  if (first !== undefined && wanted.size === 1) return first;
  if (wanted.size === index.manifests.length) return descriptor;
  const smaller = encodeIndex({ ...index, manifests: index.manifests.filter((each) => wanted.has(each)) });
  copier.metadata.set(smaller.descriptor.digest, smaller.bytes);
  return smaller.descriptor;
}

function findFor(
  platform: Platform,
  { descriptor, index }: { readonly descriptor: Descriptor; readonly index: ImageIndex },
): Descriptor {
  const found = matchPlatform(platform, index.manifests);
  if (found === undefined) throw platformUnavailable(descriptor, platform, index.manifests);
  return found;
}

async function copyTagged(descriptor: Descriptor, tag: string, copier: Copier): Promise<void> {
  const { target, options } = copier;
  if (target.pushTagged === undefined || !hasChildren(descriptor)) {
    await copyNode(descriptor, copier);
    if (target.tag === undefined) throw new Error(`Cannot tag "${descriptor.digest}": the target has no tags`);
    await target.tag(descriptor, tag, options);
    return;
  }
  await copyChildren(descriptor, copier);
  await target.pushTagged(descriptor, await readMetadata(descriptor, copier), { tag, signal: options.signal });
}

function hasChildren({ mediaType }: Descriptor): boolean {
  return isIndexMediaType(mediaType) || isManifestMediaType(mediaType);
}

function copyNode(descriptor: Descriptor, copier: Copier): Promise<void> {
  const known = copier.copied.get(descriptor.digest);
  if (known !== undefined) return known;
  const copied = copyFresh(descriptor, copier).catch((error: unknown) => {
    copier.stop.abort(error);
    throw error;
  });
  copier.copied.set(descriptor.digest, copied);
  return copied;
}

async function copyFresh(descriptor: Descriptor, copier: Copier): Promise<void> {
  await copyChildren(descriptor, copier);
  await copyContent(descriptor, copier);
}

async function copyChildren(descriptor: Descriptor, copier: Copier): Promise<void> {
  const children = await childrenOf(descriptor, copier);
  await settleAll(children.map((child) => copyNode(child, copier)));
}

async function childrenOf(descriptor: Descriptor, copier: Copier): Promise<readonly Descriptor[]> {
  if (isIndexMediaType(descriptor.mediaType)) return parseIndex(await readMetadata(descriptor, copier)).manifests;
  if (!isManifestMediaType(descriptor.mediaType)) return [];
  const { layers, config } = parseManifest(await readMetadata(descriptor, copier));
  return [...layers.filter(({ mediaType }) => !isForeignLayerMediaType(mediaType)), config];
}

async function readMetadata(descriptor: Descriptor, { source, options, metadata }: Copier): Promise<Uint8Array> {
  const known = metadata.get(descriptor.digest);
  if (known !== undefined) return known;
  const bytes = await readContent(source, descriptor, options);
  metadata.set(descriptor.digest, bytes);
  return bytes;
}

async function copyContent(descriptor: Descriptor, copier: Copier): Promise<void> {
  const { target, options, checks, transfers } = copier;
  options.signal.throwIfAborted();
  if (await checks.run(() => target.exists(descriptor, options))) return;
  await transfers.run(() => bringContent(descriptor, copier));
}

async function bringContent(descriptor: Descriptor, copier: Copier): Promise<void> {
  const { target, options } = copier;
  options.signal.throwIfAborted();
  for (const repository of target.mount === undefined ? [] : (options.mountFrom?.(descriptor) ?? []))
    if ((await target.mount?.(descriptor, repository, options)) === true) return;
  await pushContent(descriptor, copier);
}

/** How often a push is begun, and the wait before it is begun again: milliseconds, doubled each time. */
const PUSHES = 3;
const FIRST_WAIT = 500;

async function pushContent(descriptor: Descriptor, copier: Copier): Promise<void> {
  const { target, options } = copier;
  for (let attempt = 1; ; attempt += 1) {
    const reading: Reading = { failed: false };
    try {
      await target.push(descriptor, asVerified(descriptor, readTold(descriptor, copier, reading)), options);
      return;
    } catch (error) {
      options.signal.throwIfAborted();
      if (reading.failed || attempt === PUSHES || (error as { readonly retryable?: unknown }).retryable !== true)
        throw error;
      await wait(FIRST_WAIT * 2 ** (attempt - 1), options.signal);
    }
  }
}

async function wait(milliseconds: number, signal: AbortSignal): Promise<void> {
  await setTimeout(milliseconds, undefined, { signal }).catch(() => signal.throwIfAborted());
}

/** Tells an error of the source, which has tried again by itself, from one of the target. */
interface Reading {
  failed: boolean;
}

async function* readTold(
  descriptor: Descriptor,
  { source, options, metadata }: Copier,
  reading: Reading,
): AsyncGenerator<Uint8Array> {
  const known = metadata.get(descriptor.digest);
  const content = known === undefined ? readChunks(source, descriptor, options) : [known];
  let current = 0;
  try {
    for await (const chunk of content) {
      yield chunk;
      current += chunk.length;
      options.onProgress?.(descriptor, current);
    }
  } catch (error) {
    reading.failed = true;
    throw error;
  }
}

/** Waits for all, so that no transfer goes on behind an error; then throws the first error. */
async function settleAll(tasks: readonly Promise<void>[]): Promise<void> {
  const errors: unknown[] = [];
  await Promise.all(tasks.map((task) => task.catch((error: unknown) => void errors.push(error))));
  if (errors.length > 0) throw errors[0];
}
