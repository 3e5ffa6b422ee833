import {
  type Annotations,
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
import {
  copyImage,
  familiarReference,
  formatReference,
  parseReference,
  type Reference,
  withDefaultTag,
} from "@varve/oci";
import { openRepository } from "@varve/registry";
import { UsageError } from "./errors.ts";
import type { Output } from "./outputs.ts";
import type { Progress } from "./progress/progress.ts";

export interface WriteContext {
  readonly options: BuildOptions;
  /** `--tag`. */
  readonly tags: readonly Reference[];
  /** `--annotation`. */
  readonly annotations: readonly (readonly [key: string, value: string])[];
  readonly progress: Progress;
}

/** What was written: the image as it is at the outputs, and a line for each place. */
export interface Written {
  readonly image: ImageOutput;
  readonly places: readonly string[];
}

/** Hands the result to every output; without one the image stays in the store. */
export async function writeOutputs(
  result: BuildResult,
  outputs: readonly Output[],
  context: WriteContext,
): Promise<Written> {
  const places: string[] = [];
  let last: ImageOutput = result;
  const keeps = outputs.length === 0 || outputs.some(({ type }) => type === "image");
  for (const output of outputs) {
    const image = await rewriteImages(result, rewriteOf(output, context), context.options);
    places.push(...(await writeOutput(image, output, context)));
    last = image;
  }
  if (keeps && outputs.length === 0) {
    last = await rewriteImages(result, rewriteOf(undefined, context), context.options);
    places.push(...(await keepInStore(last, context.tags, context)));
  }
  return { image: last, places };
}

function rewriteOf(output: Output | undefined, { options, annotations }: WriteContext): RewriteOptions {
  const isImage = output === undefined || !["local", "tar"].includes(output.type);
  const pairs = isImage ? [...annotations, ...(output?.annotations ?? [])] : [];
  return {
    mediaTypes: isImage && output?.mediaTypes === "docker" ? "docker" : "oci",
    forceCompression:
      isImage && output?.forceCompression === true ? (output.compression ?? options.compression) : undefined,
    clampTimes: output?.rewriteTimestamp === true ? options.epoch : undefined,
    annotations: sortAnnotations(pairs),
  };
}

const ANNOTATION_TYPES = ["manifest", "index", "manifest-descriptor", "index-descriptor"];

function sortAnnotations(pairs: readonly (readonly [string, string])[]): Annotations {
  const sorted: Record<string, Record<string, string>> = {
    manifest: {},
    index: {},
    "manifest-descriptor": {},
    "index-descriptor": {},
  };
  for (const [name, value] of pairs) {
    const match = /^((?:[a-z-]+,?)+):(.+)$/.exec(name);
    const types = match?.[1]?.split(",") ?? ["manifest"];
    const known = types.every((type) => ANNOTATION_TYPES.includes(type));
    for (const type of known ? types : ["manifest"])
      Object.assign(sorted[type] ?? {}, { [known && match !== null ? (match[2] ?? "") : name]: value });
  }
  return {
    manifest: sorted["manifest"] ?? {},
    index: sorted["index"] ?? {},
    manifestDescriptor: sorted["manifest-descriptor"] ?? {},
  };
}

async function writeOutput(image: ImageOutput, output: Output, context: WriteContext): Promise<readonly string[]> {
  const { options } = context;
  const references =
    output.names.length === 0 ? context.tags : output.names.map((name) => withDefaultTag(parseReference(name)));
  const names = references.map(formatReference);
  const archive = { names, signal: options.signal };
  switch (output.type) {
    case "local":
      await exportLocal(image.images, output.dest ?? ".", { build: options, split: undefined });
      return [`files in ${output.dest}`];
    case "tar":
      return writeArchive(exportTar(image.images, { build: options, split: undefined }), output, options.signal);
    case "oci":
      if (output.tar) return writeArchive(ociArchive(image, archive), output, options.signal);
      await ociDirectory(image, output.dest ?? ".", archive);
      return [`OCI layout ${output.dest}`];
    case "docker":
      if (output.dest !== undefined) return writeArchive(dockerArchive(image, archive), output, options.signal);
      await loadIntoDocker(dockerArchive(image, archive), options.signal);
      return [`Docker, as ${references.map(familiarReference).join(", ") || image.descriptor.digest}`];
    case "image":
    case "registry": {
      const kept = output.type === "image" ? await keepInStore(image, references, context) : [];
      return output.push ? [...kept, ...(await pushAll(image, references, context))] : kept;
    }
    default:
      return output.type satisfies never;
  }
}

async function writeArchive(
  chunks: AsyncIterable<Uint8Array>,
  { dest = "-" }: Output,
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (dest !== "-") {
    await writeFileWhole(dest, chunks, signal);
    return [`archive ${dest}`];
  }
  if (process.stdout.isTTY)
    throw new UsageError("Cannot write an archive to a terminal", "Give dest=FILE, or redirect the output");
  await writeStream(process.stdout, chunks, signal);
  return [];
}

async function keepInStore(
  image: ImageOutput,
  references: readonly Reference[],
  { options }: WriteContext,
): Promise<readonly string[]> {
  await completeInStore(image.images, options);
  await copyImage(image.content, options.store.content, { descriptor: image.descriptor, signal: options.signal });
  for (const reference of references) await options.store.content.tag(image.descriptor, formatReference(reference));
  const named = references.map(familiarReference);
  return [`store ${options.store.path}${named.length === 0 ? "" : `, as ${named.join(", ")}`}`];
}

async function pushAll(
  image: ImageOutput,
  references: readonly Reference[],
  { options, progress }: WriteContext,
): Promise<readonly string[]> {
  if (references.length === 0)
    throw new UsageError("Cannot push: the image has no name", "Give one with --tag REGISTRY/REPOSITORY:TAG");
  for (const reference of references) {
    const repository = openRepository(reference);
    await copyImage(image.content, repository, {
      descriptor: image.descriptor,
      tag: reference.tag ?? "latest",
      signal: options.signal,
      mountFrom: (descriptor) => mountSources(image, { digest: descriptor.digest, reference }),
      onProgress: (descriptor, current) =>
        progress.onEvent({
          type: "transfer",
          direction: "push",
          name: descriptor.digest,
          current,
          total: descriptor.size,
          done: current === descriptor.size,
        }),
    });
  }
  return references.map((reference) => `registry ${formatReference(reference)}@${image.descriptor.digest}`);
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
