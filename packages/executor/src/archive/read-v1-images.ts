import { createHash } from "node:crypto";
import { decompress } from "@varve/layer";
import { type ContainerConfig, type Digest, type History, hostPlatform } from "@varve/oci";
import { type ArchiveFile, archiveInvalid, readArchiveFile, readArchiveJson } from "./archive-files.ts";
import { encodeGoJson, toDockerConfig, toGoTime } from "./docker-config.ts";
import { describeImage } from "./read-docker-images.ts";
import type { ArchivedImage, ArchivePlace } from "./archived-image.ts";

/** A layer's `json`: Docker image specification 1, "Image JSON Description". */
interface V1Image {
  readonly id?: string;
  readonly parent?: string;
  readonly comment?: string;
  readonly created?: string;
  readonly container?: string;
  readonly container_config?: ContainerConfig;
  readonly docker_version?: string;
  readonly author?: string;
  readonly config?: ContainerConfig;
  readonly architecture?: string;
  readonly os?: string;
}

interface V1Layer {
  readonly name: string;
  readonly file: ArchiveFile;
  readonly image: V1Image;
}

const MOST_LAYERS = 1024;
const ID = /^[0-9a-f]{64}$/;

/**
 * The images that `repositories` names: name to tag to the id of the newest layer. Their configs are put together as
 * Docker does, so that the image IDs are Docker's.
 * @throws OciError `LAYOUT_INVALID`
 */
export async function readV1Images(place: ArchivePlace): Promise<readonly ArchivedImage[]> {
  const { path, files } = place;
  const { value } = await readArchiveJson(files, { archive: path, name: "repositories" });
  const names = new Map<string, string[]>();
  for (const [repository, tags] of Object.entries(value ?? {}))
    for (const [tag, id] of Object.entries((tags ?? {}) as object)) {
      if (typeof id !== "string" || !ID.test(id))
        throw archiveInvalid(path, `its repositories give "${repository}:${tag}" no id of a layer`);
      names.set(id, [...(names.get(id) ?? []), `${repository}:${tag}`]);
    }
  if (names.size === 0) throw archiveInvalid(path, "its repositories name no image");
  const images: ArchivedImage[] = [];
  for (const [id, own] of names) images.push({ descriptor: await readImage(id, place), names: own });
  return images;
}

async function readImage(id: string, place: ArchivePlace): ReturnType<typeof describeImage> {
  const layers = (await readChain(id, place)).toReversed();
  const diffIds: Digest[] = [];
  for (const { file } of layers) diffIds.push(await digestOfTar(file));
  const config = Buffer.from(encodeGoJson(createConfig(layers, diffIds)));
  return describeImage({ config, layers }, place);
}

/** Newest first. */
async function readChain(id: string, place: ArchivePlace): Promise<readonly V1Layer[]> {
  const { path, files } = place;
  const chain: V1Layer[] = [];
  for (let at: string | undefined = id; at !== undefined && at !== ""; at = chain.at(-1)?.image.parent) {
    if (!ID.test(at)) throw archiveInvalid(path, `"${at}" is no id of a layer`);
    if (chain.length === MOST_LAYERS) throw archiveInvalid(path, "the parents of a layer have no end");
    const { value } = await readArchiveJson(files, { archive: path, name: `${at}/json` });
    const file = files.find(`${at}/layer.tar`);
    if (file === undefined) throw archiveInvalid(path, `it has no file "${at}/layer.tar"`);
    chain.push({ name: `${at}/layer.tar`, file, image: value ?? {} });
  }
  return chain;
}

async function digestOfTar(file: ArchiveFile): Promise<Digest> {
  const sum = createHash("sha256");
  for await (const chunk of decompress(readArchiveFile(file))) sum.update(chunk);
  return `sha256:${sum.digest("hex")}`;
}

/** What Docker does where it loads such an archive: members in the order of their names, blank ones left out. */
function createConfig(layers: readonly V1Layer[], diffIds: readonly Digest[]): Readonly<Record<string, unknown>> {
  const image: V1Image = layers.at(-1)?.image ?? {};
  const members = {
    ...optional(image, ["architecture", "author", "comment", "container", "docker_version", "os"]),
    ...(image.config === undefined ? {} : { config: toDockerConfig({ ...image.config }) }),
    container_config: toDockerConfig({ ...image.container_config }),
    created: toGoTime(image.created),
    history: layers.map((layer) => createHistory(layer.image)),
    rootfs: { type: "layers", diff_ids: diffIds },
  };
  // The image specification of today wants both of every config.
  const platform = hostPlatform();
  const complete = { architecture: platform.architecture, os: platform.os, ...members };
  return Object.fromEntries(Object.entries(complete).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function createHistory(image: V1Image): History {
  const command = image.container_config?.Cmd?.join(" ") ?? "";
  return {
    created: toGoTime(image.created),
    ...optional(image, ["author"]),
    ...(command === "" ? {} : { created_by: command }),
    ...optional(image, ["comment"]),
  };
}

function optional(image: V1Image, names: readonly (keyof V1Image)[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    names.flatMap((name) => (image[name] === undefined || image[name] === "" ? [] : [[name, image[name]]])),
  );
}
