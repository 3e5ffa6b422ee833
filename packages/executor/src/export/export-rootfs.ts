import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { type Entry, packLayer, walkTree, writeTree } from "@varve/layer";
import { formatPlatform } from "@varve/oci";
import { linkEntries } from "../link-entries.ts";
import { openImageTree } from "../image-tree.ts";
import type { BuiltImage } from "../build.ts";
import type { BuildOptions } from "../session.ts";
import { exportError } from "./write-file.ts";

/** Writes the images' file systems into directory `path`; with several platforms each into a directory of its own. */
export async function exportLocal(images: readonly BuiltImage[], path: string, options: BuildOptions): Promise<void> {
  try {
    for (const image of images) {
      const target = images.length === 1 ? path : join(path, platformName(image));
      await writeImage(image, target, options);
    }
  } catch (cause) {
    throw exportError(path, cause);
  }
}

function platformName(image: BuiltImage): string {
  return formatPlatform(image.platform).replaceAll("/", "_");
}

/** A new directory appears whole; into one that is there, files are written over. */
async function writeImage(image: BuiltImage, path: string, options: BuildOptions): Promise<void> {
  const target = resolve(path);
  const entries = await rootfsEntries(image, options);
  const isNew = !existsSync(target) || (await readdir(target)).length === 0;
  if (!isNew) return writeTree(linkEntries(entries), target, { signal: options.signal });
  await mkdir(dirname(target), { recursive: true });
  const temporary = await mkdtemp(`${target}.partial-`);
  try {
    await writeTree(linkEntries(entries), temporary, { signal: options.signal });
    await rm(target, { recursive: true, force: true });
    await rename(temporary, target);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function rootfsEntries(image: BuiltImage, options: BuildOptions, prefix = ""): Promise<readonly Entry[]> {
  const tree = await openImageTree(image, options);
  const entries = [...walkTree(tree)].filter((entry) => entry.path !== "");
  return prefix === "" ? entries : entries.map((entry) => ({ ...entry, path: `${prefix}/${entry.path}` }));
}

/** The images' file systems as one plain tar. */
export async function* exportTar(images: readonly BuiltImage[], options: BuildOptions): AsyncGenerator<Uint8Array> {
  const all: Entry[] = [];
  for (const image of images)
    all.push(...linkEntries(await rootfsEntries(image, options, images.length === 1 ? "" : platformName(image))));
  const packed = await packLayer(all, {
    store: options.store.content,
    compression: { type: "none" },
    signal: options.signal,
  });
  yield* options.store.content.fetch(packed.layer.descriptor, { signal: options.signal }) as AsyncIterable<Uint8Array>;
}
