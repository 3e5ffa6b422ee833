import type { ContentSource, ContentStore, Target, TransferOptions } from "./content.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";
import { isIndexMediaType, isManifestMediaType } from "./media-types.ts";
import { parseIndex, parseManifest } from "./parse-json.ts";
import { readContent } from "./verify-content.ts";

/** Optional power of a target: takes content over from another repository of the same registry. */
export interface Mounter {
  /** True where the content is in the target's repository now. Distribution spec, "Mounting a blob from another repository". */
  mount(descriptor: Descriptor, fromRepository: string): Promise<boolean>;
}

export interface CopyOptions extends TransferOptions {
  /** Name given to the image at the target; undefined: none. */
  readonly tag?: string;
  /** Transfers at once; 4 where it is left out. */
  readonly concurrency?: number;
  /** Told as bytes of a blob move; `current` reaches `descriptor.size`. Not called for what is there already. */
  readonly onProgress?: (descriptor: Descriptor, current: number) => void;
  /** Repositories of the target's registry that may hold a blob already. */
  readonly mountFrom?: (descriptor: Descriptor) => readonly string[];
}

/**
 * Copies what `descriptor` leads to (an index, a manifest, or a blob) from `source` to `target`: blobs before the
 * manifests that name them, each once, and nothing that is there already.
 */
export async function copyImage(
  source: ContentSource,
  target: ContentStore | Target,
  { descriptor, ...options }: CopyOptions & { readonly descriptor: Descriptor },
): Promise<void> {
  const copier: Copier = { source, target, options, copied: new Map(), waiting: [], free: options.concurrency ?? 4 };
  await copyNode(descriptor, copier);
  if (options.tag !== undefined && "tag" in target) await target.tag(descriptor, options.tag, options);
}

interface Copier {
  readonly source: ContentSource;
  readonly target: ContentStore & Partial<Mounter>;
  readonly options: CopyOptions;
  readonly copied: Map<Digest, Promise<void>>;
  readonly waiting: (() => void)[];
  free: number;
}

function copyNode(descriptor: Descriptor, copier: Copier): Promise<void> {
  const known = copier.copied.get(descriptor.digest);
  if (known !== undefined) return known;
  const copied = copyFresh(descriptor, copier);
  copier.copied.set(descriptor.digest, copied);
  return copied;
}

async function copyFresh(descriptor: Descriptor, copier: Copier): Promise<void> {
  const children = await childrenOf(descriptor, copier);
  await settleAll(children.map((child) => copyNode(child, copier)));
  await withRoom(copier, () => copyBlob(descriptor, copier));
}

async function childrenOf(descriptor: Descriptor, { source, options }: Copier): Promise<readonly Descriptor[]> {
  if (isIndexMediaType(descriptor.mediaType))
    return parseIndex(await readContent(source, descriptor, options)).manifests;
  if (!isManifestMediaType(descriptor.mediaType)) return [];
  const manifest = parseManifest(await readContent(source, descriptor, options));
  return [...manifest.layers, manifest.config];
}

async function copyBlob(descriptor: Descriptor, { source, target, options }: Copier): Promise<void> {
  if (await target.exists(descriptor, options)) return;
  for (const repository of target.mount === undefined ? [] : (options.mountFrom?.(descriptor) ?? [])) {
    if (await target.mount?.(descriptor, repository)) return;
  }
  await target.push(descriptor, told(source.fetch(descriptor, options), { descriptor, options }), options);
}

async function* told(
  content: AsyncIterable<Uint8Array>,
  { descriptor, options }: { readonly descriptor: Descriptor; readonly options: CopyOptions },
): AsyncGenerator<Uint8Array> {
  let current = 0;
  for await (const chunk of content) {
    yield chunk;
    current += chunk.length;
    options.onProgress?.(descriptor, current);
  }
}

async function withRoom(copier: Copier, task: () => Promise<void>): Promise<void> {
  if (copier.free > 0) copier.free -= 1;
  else await new Promise<void>((resolve) => copier.waiting.push(resolve));
  try {
    await task();
  } finally {
    const next = copier.waiting.shift();
    if (next === undefined) copier.free += 1;
    else next();
  }
}

/** Waits for all, so that no transfer goes on behind an error; then throws the first error. */
async function settleAll(tasks: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(tasks);
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}
