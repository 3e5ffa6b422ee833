import { type LocalStore, openLocalStore } from "@varve/cache";
import {
  type Descriptor,
  familiarReference,
  formatPlatform,
  hostPlatform,
  type Image,
  isIndexMediaType,
  parseIndex,
  parseReference,
  readContent,
  REF_NAME,
  resolveImage,
} from "@varve/oci";
import type { Command } from "../command.ts";
import { formatTable } from "../format-table.ts";
import { formatBytes } from "../progress/progress.ts";
import { storePath } from "../store-path.ts";

/** Hex digits of an image ID that people are shown. */
const SHORT = 12;

/** `varve images`: the images of the store that have a name. */
export const imagesCommand: Command = {
  usage: "[OPTIONS]",
  description: "Lists the images in the store that have a name, each platform on a line.",
  flags: [{ name: "store", value: "DIR", description: "The store to list" }],
  examples: ["varve images"],
  async run(flags, signal) {
    await using store = await openLocalStore(storePath(flags.value("store")));
    const named = (await store.content.list()).toSorted((a, b) => nameOf(a).localeCompare(nameOf(b)));
    const rows: (readonly string[])[] = [];
    for (const descriptor of named) rows.push(...(await describeImages(descriptor, store, signal)));
    process.stdout.write(formatTable([["NAME", "PLATFORM", "ID", "SIZE", "CREATED"], ...rows]));
    return 0;
  },
};

function nameOf({ annotations, digest }: Descriptor): string {
  const name = annotations?.[REF_NAME] ?? digest;
  try {
    return familiarReference(parseReference(name));
  } catch {
    return name;
  }
}

/** One row for each platform. */
async function describeImages(
  descriptor: Descriptor,
  store: LocalStore,
  signal: AbortSignal,
): Promise<readonly (readonly string[])[]> {
  const manifests = isIndexMediaType(descriptor.mediaType)
    ? parseIndex(await readContent(store.content, descriptor, { signal })).manifests
    : [descriptor];
  const images = await Promise.all(
    manifests.map(({ platform, ...each }) =>
      resolveImage(store.content, each, { platform: platform ?? hostPlatform(), signal }),
    ),
  );
  return images.map((image) => describeImage(nameOf(descriptor), image));
}

function describeImage(name: string, { manifest, config }: Image): readonly string[] {
  const id = manifest.config.digest.slice("sha256:".length).slice(0, SHORT);
  const size = manifest.layers.reduce((sum, layer) => sum + layer.size, manifest.config.size);
  return [name, formatPlatform(config), id, formatBytes(size), config.created ?? ""];
}
