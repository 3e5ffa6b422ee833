import { createReadStream, createWriteStream, statSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { decompress, type NewMember, tarSum, writeTar } from "@varve/layer";
import {
  createDigester,
  digestOf,
  type Digest,
  hexOf,
  type History,
  hostPlatform,
  type Image,
  OciError,
  readContent,
  resolveImage,
} from "@varve/oci";
import { encodeGoJson, toDockerConfig } from "../archive/docker-config.ts";
import { StepError } from "../errors.ts";
import { dockerName, type NamedImage, textMember } from "./export-archive.ts";

export interface V1ArchiveOptions {
  /** A directory for layers that have to be uncompressed. */
  readonly scratch: string;
  readonly signal: AbortSignal;
}

/** A layer as the archive has it. */
interface V1Layer {
  readonly id: string;
  readonly json: string;
  readonly tar: PlainLayer;
}

/** A layer's tar on this machine. */
interface PlainLayer {
  readonly path: string;
  readonly size: number;
  readonly checksum: string;
}

interface V1Image {
  readonly image: Image;
  /** Its bytes: their digest is the image's ID. */
  readonly config: Uint8Array;
  readonly names: readonly string[];
  readonly layers: readonly V1Layer[];
}

const MAX_CONFIG = 64 * 1024 * 1024;

/**
 * Images as `docker save` wrote them up to Docker 24: for each layer a directory with VERSION, json and layer.tar, and
 * `repositories`, as Docker image specification 1 has it; beside them configs and manifest.json of specification 1.2,
 * which keep the image IDs.
 * @throws StepError `EXPORT_FAILED` for an image without layers; OciError `DIGEST_MISMATCH` for a damaged layer.
 */
export async function* saveV1Archive(
  images: readonly NamedImage[],
  options: V1ArchiveOptions,
): AsyncGenerator<Uint8Array> {
  const plain = new Map<Digest, PlainLayer>();
  const described: V1Image[] = [];
  for (const { descriptor, content, names } of images) {
    const image = await resolveImage(content, descriptor, { platform: hostPlatform(), signal: options.signal });
    const config = await readContent(content, image.manifest.config, { signal: options.signal, limit: MAX_CONFIG });
    described.push({ image, config, names, layers: await describeLayers(image, plain, options) });
  }
  yield* writeTar(members(described));
}

async function describeLayers(
  image: Image,
  plain: Map<Digest, PlainLayer>,
  options: V1ArchiveOptions,
): Promise<readonly V1Layer[]> {
  if (image.layers.length === 0)
    throw new StepError("EXPORT_FAILED", "Cannot write an image without layers in Docker's older form: it needs one", {
      hint: "Leave --format docker-v1 out",
    });
  const layers: V1Layer[] = [];
  for (const [position, { diffId }] of image.layers.entries()) {
    const tar = plain.get(diffId) ?? (await unpackLayer(image, position, options));
    plain.set(diffId, tar);
    layers.push(describeLayer(image, { position, tar, parent: layers.at(-1)?.id }));
  }
  return layers;
}

async function unpackLayer(image: Image, position: number, { scratch, signal }: V1ArchiveOptions): Promise<PlainLayer> {
  const { descriptor, diffId } = image.layers[position]!;
  const path = join(scratch, `${hexOf(diffId)}.tar`);
  const digester = createDigester();
  async function* digested(): AsyncGenerator<Uint8Array> {
    for await (const chunk of decompress(image.content.fetch(descriptor, { signal }), { signal })) {
      digester.update(chunk);
      yield chunk;
    }
  }
  await pipeline(digested(), createWriteStream(path), { signal });
  const found = digester.digest();
  if (found !== diffId)
    throw new OciError(
      "DIGEST_MISMATCH",
      `Cannot use layer "${descriptor.digest}": its tar has the digest ${found}; its config wants ${diffId}`,
    );
  return { path, size: statSync(path).size, checksum: await tarSum(createReadStream(path)) };
}

interface LayerPlace {
  readonly position: number;
  readonly tar: PlainLayer;
  readonly parent: string | undefined;
}

/** Specification 1, "Image JSON Description"; the newest layer has what the image's config says. */
function describeLayer(image: Image, { position, tar, parent }: LayerPlace): V1Layer {
  const { config, layers, manifest } = image;
  const isTop = position === layers.length - 1;
  const line = lineOf(image, position);
  const [created, author] = isTop ? [config.created, config.author] : [line?.created, line?.author];
  const words = defined({
    parent,
    comment: line?.comment,
    created: created ?? "1970-01-01T00:00:00Z",
    container_config: toDockerConfig(defined({ Cmd: line?.created_by === undefined ? undefined : [line.created_by] })),
    author,
    config: isTop ? toDockerConfig({ ...config.config }) : undefined,
    architecture: isTop ? config.architecture : undefined,
    os: config.os,
    checksum: tar.checksum,
    Size: tar.size,
  });
  const seed = { ...words, layer_id: layers[position]?.diffId, config: isTop ? manifest.config.digest : undefined };
  const id = hexOf(digestOf(Buffer.from(encodeGoJson(seed))));
  return { id, json: encodeGoJson({ id, ...words }), tar };
}

/** The line of the history that made a layer; undefined where the history does not fit the layers. */
function lineOf({ config, layers }: Image, position: number): History | undefined {
  const lines = (config.history ?? []).filter(({ empty_layer }) => empty_layer !== true);
  return lines.length === layers.length ? lines[position] : undefined;
}

function defined(members: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}

function* members(images: readonly V1Image[]): Generator<NewMember> {
  const seen = new Set<string>();
  for (const { layers } of images) {
    for (const layer of layers) {
      if (seen.has(layer.id)) continue;
      seen.add(layer.id);
      yield { type: "directory", path: layer.id };
      yield textMember(`${layer.id}/VERSION`, "1.0");
      yield textMember(`${layer.id}/json`, layer.json);
      yield {
        type: "file",
        path: `${layer.id}/layer.tar`,
        size: layer.tar.size,
        body: createReadStream(layer.tar.path),
      };
    }
  }
  for (const { image, config } of images) yield bytesMember(configPath(image), config);
  yield textMember("manifest.json", JSON.stringify(images.map(manifestMember)));
  yield textMember("repositories", encodeGoJson(repositories(images)));
}

function configPath({ manifest }: Image): string {
  return `${hexOf(manifest.config.digest)}.json`;
}

function bytesMember(path: string, bytes: Uint8Array): NewMember {
  return { type: "file", path, size: bytes.length, body: [bytes] };
}

function manifestMember({ image, names, layers }: V1Image): object {
  return {
    Config: configPath(image),
    RepoTags: names.length === 0 ? null : names.map(dockerName),
    Layers: layers.map(({ id }) => `${id}/layer.tar`),
  };
}

function repositories(images: readonly V1Image[]): Readonly<Record<string, Record<string, string>>> {
  const byName: Record<string, Record<string, string>> = {};
  for (const { names, layers } of images) {
    for (const name of names.map(dockerName)) {
      const colon = name.lastIndexOf(":");
      (byName[name.slice(0, colon)] ??= {})[name.slice(colon + 1)] = layers.at(-1)?.id ?? "";
    }
  }
  return byName;
}
