import {
  type BuildOptions,
  type BuildResult,
  completeInStore,
  dockerArchive,
  exportLocal,
  exportTar,
  type ImageOutput,
  loadIntoDocker,
  ociArchive,
  ociDirectory,
  rewriteImages,
  type RewriteOptions,
  writeFileWhole,
  writeStream,
} from "@varve/executor";
import type { TarPart } from "@varve/layer";
import { copyImage, familiarReference, formatReference, type Reference } from "@varve/oci";
import { openRepository, type Repository } from "@varve/registry";
import { type AnnotationPairs, sortAnnotations } from "./annotations.ts";
import { imageNames } from "./build-settings.ts";
import { UsageError } from "./errors.ts";
import { isStreamed, type Output } from "./outputs.ts";
import { inPhase } from "./phase.ts";

export interface WriteContext {
  readonly options: BuildOptions;
  /** `--tag`. */
  readonly tags: readonly Reference[];
  /** `--annotation`. */
  readonly annotations: AnnotationPairs;
}

/** Where the image is now, and a command that looks at it there. */
export interface Place {
  readonly where: string;
  readonly look: string | undefined;
}

/** What was written: the image as it is at the last output, and all places. */
export interface Written {
  readonly image: ImageOutput;
  readonly places: readonly Place[];
}

const KEPT: Output = {
  type: "image",
  dest: undefined,
  tar: true,
  names: [],
  push: false,
  byDigest: false,
  store: true,
  platformSplit: undefined,
  mediaTypes: undefined,
  compression: undefined,
  forceCompression: false,
  rewriteTimestamp: false,
  annotations: [],
};

/**
 * What can be known to be wrong before anything is built.
 * @throws UsageError
 */
export function checkOutputs(outputs: readonly Output[], { tags, annotations }: Omit<WriteContext, "options">): void {
  for (const output of outputs) {
    sortAnnotations([...annotations, ...output.annotations]);
    if (output.push && namesOf(output, tags).length === 0)
      throw new UsageError("Cannot push: the image has no name", "Give one with --tag REGISTRY/REPOSITORY:TAG");
  }
}

/** Hands the result to every output; without one the image stays in the store. */
export async function writeOutputs(
  result: BuildResult,
  outputs: readonly Output[],
  context: WriteContext,
): Promise<Written> {
  const { onEvent } = context.options;
  const places: Place[] = [];
  let last: ImageOutput = result;
  for (const output of outputs.length === 0 ? [KEPT] : outputs) {
    await inPhase(describeOutput(output), onEvent, async () => {
      last = await rewriteImages(result, rewriteOf(output, context), context.options);
      places.push(...(await writeOutput(last, output, context)));
    });
  }
  return { image: last, places };
}

function describeOutput({ type, dest, push }: Output): string {
  switch (type) {
    case "local":
      return `writing files to ${dest}`;
    case "tar":
    case "oci":
      return `writing ${type} ${dest ?? "-"}`;
    case "docker":
      return dest === undefined ? "loading into Docker" : `writing docker archive ${dest}`;
    case "image":
    case "registry":
      return push ? "pushing" : "keeping in the store";
    default:
      return type satisfies never;
  }
}

function rewriteOf(output: Output, { options, annotations }: WriteContext): RewriteOptions {
  const isImage = output.type !== "local" && output.type !== "tar";
  return {
    mediaTypes: isImage && output.mediaTypes === "docker" ? "docker" : "oci",
    forceCompression: isImage && output.forceCompression ? (output.compression ?? options.compression) : undefined,
    clampTimes: output.rewriteTimestamp ? options.epoch : undefined,
    annotations: sortAnnotations(isImage ? [...annotations, ...output.annotations] : []),
  };
}

function namesOf(output: Output, tags: readonly Reference[]): readonly Reference[] {
  return output.names.length === 0 ? tags : imageNames(output.names);
}

async function writeOutput(image: ImageOutput, output: Output, context: WriteContext): Promise<readonly Place[]> {
  const { options, tags } = context;
  const { signal } = options;
  const { dest = "-", platformSplit } = output;
  const references = namesOf(output, tags);
  const archive = { names: references.map(formatReference), signal };
  switch (output.type) {
    case "local":
      await exportLocal(image.images, dest, { build: options, split: platformSplit });
      return [{ where: `files in ${dest}`, look: `ls ${dest}` }];
    case "tar":
      return writeArchive(exportTar(image.images, { build: options, split: platformSplit }), output, {
        signal,
        look: `tar -tf ${dest}`,
      });
    case "oci":
      if (output.tar)
        return writeArchive(ociArchive(image, archive), output, { signal, look: `skopeo inspect oci-archive:${dest}` });
      await ociDirectory(image, dest, archive);
      return [{ where: `OCI layout ${dest}`, look: `skopeo inspect oci:${dest}:${references[0]?.tag ?? "latest"}` }];
    case "docker":
      return writeDocker(image, output, { references, signal });
    case "image":
    case "registry": {
      const kept = output.store ? await keepInStore(image, references, options) : [];
      return output.push ? [...kept, ...(await pushAll(image, references, { output, options }))] : kept;
    }
    default:
      return output.type satisfies never;
  }
}

async function writeDocker(
  image: ImageOutput,
  output: Output,
  { references, signal }: { readonly references: readonly Reference[]; readonly signal: AbortSignal },
): Promise<readonly Place[]> {
  const parts = dockerArchive(image, { names: references.map(formatReference), signal });
  if (output.dest !== undefined) return writeArchive(parts, output, { signal, look: `docker load -i ${output.dest}` });
  await loadIntoDocker(parts, signal);
  const named = references.map(familiarReference);
  const id = image.images[0]?.manifest.config.digest ?? image.descriptor.digest;
  return [{ where: `Docker, as ${named.join(", ") || id}`, look: `docker run --rm ${named[0] ?? id}` }];
}

async function writeArchive(
  parts: AsyncIterable<TarPart>,
  output: Output,
  { signal, look }: { readonly signal: AbortSignal; readonly look: string },
): Promise<readonly Place[]> {
  const { dest = "-" } = output;
  if (isStreamed(output)) {
    await writeStream(process.stdout, parts, signal);
    return [{ where: "standard output", look: undefined }];
  }
  await writeFileWhole(dest, parts, signal);
  return [{ where: `archive ${dest}`, look }];
}

async function keepInStore(
  image: ImageOutput,
  references: readonly Reference[],
  options: BuildOptions,
): Promise<readonly Place[]> {
  const { store, signal } = options;
  await completeInStore(image.images, options);
  await copyImage(image.content, store.content, { descriptor: image.descriptor, signal });
  for (const reference of references) await store.content.tag(image.descriptor, formatReference(reference));
  if (references.length === 0) await store.content.add(image.descriptor);
  const [first] = references;
  const named = references.length === 0 ? "" : `, as ${references.map(familiarReference).join(", ")}`;
  const look = first === undefined ? undefined : `skopeo inspect oci:${store.path}:${formatReference(first)}`;
  return [{ where: `store ${store.path}${named}`, look }];
}

async function pushAll(
  image: ImageOutput,
  references: readonly Reference[],
  { output, options }: { readonly output: Output; readonly options: BuildOptions },
): Promise<readonly Place[]> {
  const places: Place[] = [];
  for (const reference of references) {
    const repository: Repository = openRepository(reference);
    await copyImage(image.content, repository, {
      descriptor: image.descriptor,
      ...(output.byDigest ? {} : { tag: reference.tag ?? "latest" }),
      signal: options.signal,
      mountFrom: (descriptor) => mountSources(image, { digest: descriptor.digest, reference }),
      onProgress: (descriptor, current) =>
        options.onEvent({
          type: "transfer",
          direction: "push",
          name: descriptor.digest,
          current,
          total: descriptor.size,
          done: current === descriptor.size,
        }),
    });
    const { registry, repository: name } = reference;
    const pinned = `${registry}/${name}@${image.descriptor.digest}`;
    const where = output.byDigest ? pinned : `${formatReference(reference)}@${image.descriptor.digest}`;
    places.push({ where: `registry ${where}`, look: `docker pull ${pinned}` });
  }
  return places;
}

/** A base's layers may be in the base's own repository at the same registry: nothing has to move then. */
function mountSources(
  image: ImageOutput,
  { digest, reference }: { readonly digest: string; readonly reference: Reference },
): readonly string[] {
  const layer = image.images.flatMap((each) => each.layers).find((each) => each.layer.descriptor.digest === digest);
  const source = layer?.content as { readonly registry?: unknown; readonly name?: unknown } | undefined;
  return source?.registry === reference.registry &&
    typeof source.name === "string" &&
    source.name !== reference.repository
    ? [source.name]
    : [];
}
