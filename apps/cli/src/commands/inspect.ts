import { type LocalStore, openLocalStore } from "@varve/cache";
import { inspectImage } from "@varve/executor";
import { type Digest, familiarReference, type Reference } from "@varve/oci";
import type { Command } from "../command.ts";
import { compileTemplate } from "../go-template.ts";
import { PLATFORM_FLAG, platformOf, STORE_FLAG, takeList } from "../image-flags.ts";
import { layerSizes } from "../places/layer-sizes.ts";
import { findImageFor } from "../places/open-place.ts";
import { repoDigests } from "../places/repo-digests.ts";
import { imagesOf, listStoredImages, shortName } from "../places/store-images.ts";
import { formatError } from "../print-error.ts";
import { storePath } from "../store-path.ts";

type Found = Awaited<ReturnType<typeof findImageFor>>;

/** `varve inspect`. */
export const inspectCommand: Command = {
  usage: "[OPTIONS] IMAGE [IMAGE…]",
  description:
    "Shows images as docker image inspect does: a JSON array. IMAGE is a name or ID of the store, or a place: docker://NAME, oci:PATH[:TAG], oci-archive:FILE, docker-archive:FILE[:NAME], docker-daemon:NAME.",
  flags: [
    STORE_FLAG,
    PLATFORM_FLAG,
    { name: "format", short: "f", value: "TEMPLATE", description: 'A Go template such as {{.Id}}, or "json"' },
    { name: "raw", description: "The manifest, as its bytes are; with --config the image config" },
    { name: "config", description: "The image config, as its bytes are" },
    { name: "type", value: "TYPE", hidden: true, description: "image: as docker inspect has it" },
  ],
  examples: [
    "varve inspect app:1",
    "varve inspect --format '{{json .RootFS.Layers}}' app:1",
    "varve inspect docker-archive:app.tar",
  ],
  async run(flags, signal) {
    const texts = takeList(flags, "inspect", "IMAGE");
    const format = flags.value("format");
    const show = format === undefined || format === "json" ? undefined : compileTemplate(format);
    const platform = platformOf(flags);
    await using store = await openLocalStore(storePath(flags.value("store")));
    const shown: unknown[] = [];
    let failed = false;
    for (const text of texts) {
      try {
        const found = await findImageFor(text, { store, signal, platform });
        if (flags.is("raw") || flags.is("config")) await writeBytes(found, flags.is("config"), signal);
        else shown.push(await describe(found, store, signal));
      } catch (error) {
        if (signal.aborted) throw error;
        failed = true;
        process.stderr.write(`${formatError(error, undefined)}\n`);
      }
    }
    if (show !== undefined) for (const value of shown) process.stdout.write(`${show(value)}\n`);
    else if (!flags.is("raw") && !flags.is("config"))
      process.stdout.write(`${format === "json" ? JSON.stringify(shown) : JSON.stringify(shown, undefined, 4)}\n`);
    return failed ? 1 : 0;
  },
};

async function writeBytes({ image }: Found, wantsConfig: boolean, signal: AbortSignal): Promise<void> {
  const descriptor = wantsConfig ? image.manifest.config : image.descriptor;
  for await (const chunk of image.content.fetch(descriptor, { signal })) process.stdout.write(chunk as Uint8Array);
}

async function describe(found: Found, store: LocalStore, signal: AbortSignal): Promise<unknown> {
  const { image, reference, descriptor } = found;
  const sizes = await layerSizes(found, { store, signal });
  const here = reference === undefined ? [] : [digestName(reference, descriptor.digest)];
  const known = found.content === store.content ? await repoDigests(descriptor, store) : [];
  return inspectImage(image, {
    names: await namesOf(found, store, signal),
    repoDigests: [...new Set([...here, ...known])],
    size: sizes.reduce((sum, size) => sum + size, 0),
  });
}

function digestName({ registry, repository }: Reference, digest: Digest): string {
  return familiarReference({ registry, repository, digest });
}

/** Docker knows an image by its ID: all names of it, under whatever manifest. */
async function namesOf(found: Found, store: LocalStore, signal: AbortSignal): Promise<readonly string[]> {
  const names = new Set(found.names.map(shortName));
  if (found.content === store.content) {
    const id = found.image.manifest.config.digest;
    for (const stored of await listStoredImages(store)) {
      const images = await imagesOf(stored.descriptor, store, signal);
      if (images.some(({ manifest }) => manifest.config.digest === id))
        for (const name of stored.names) names.add(shortName(name));
    }
  }
  return [...names].toSorted();
}
