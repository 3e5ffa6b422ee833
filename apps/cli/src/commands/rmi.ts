import { type LocalStore, openLocalStore } from "@varve/cache";
import { formatReference, hexOf } from "@varve/oci";
import type { Command } from "../command.ts";
import { ImageError } from "../errors.ts";
import { STORE_FLAG, takeList } from "../image-flags.ts";
import { findStoredImage, imagesOf, shortName, type StoredImage } from "../places/store-images.ts";
import { nameable } from "../places/write-place.ts";
import { formatError } from "../print-error.ts";
import { storePath } from "../store-path.ts";

/** `varve rmi`, and `varve untag`. */
export const rmiCommand: Command = {
  usage: "[OPTIONS] IMAGE [IMAGE…]",
  description:
    "Takes names away from images of the store. An image without a name is no longer listed; its layers stay as cache until varve cache prune. An image ID removes its one name, or with --force all its names.",
  flags: [
    STORE_FLAG,
    { name: "force", short: "f", description: "Remove all names of an image ID; no error for what is not there" },
    { name: "no-prune", hidden: true, description: "As docker rmi has it: layers always stay until cache prune" },
  ],
  examples: ["varve rmi app:1", "varve rmi --force 3f1b2c"],
  async run(flags, signal) {
    const images = takeList(flags, "rmi", "IMAGE");
    await using store = await openLocalStore(storePath(flags.value("store")));
    let code = 0;
    for (const text of images) {
      try {
        await removeImage(text, { store, signal, force: flags.is("force") });
      } catch (error) {
        process.stderr.write(`${formatError(error, undefined)}\n`);
        code = 1;
      }
    }
    return code;
  },
};

interface Removal {
  readonly store: LocalStore;
  readonly signal: AbortSignal;
  readonly force: boolean;
}

async function removeImage(text: string, { store, signal, force }: Removal): Promise<void> {
  const image = await findStoredImage(text, store, signal);
  if (image === undefined) {
    if (force) return;
    throw new ImageError("IMAGE_UNKNOWN", `Cannot remove image "${text}": the store has none of that name or ID`, {
      hint: "varve images lists what it has",
    });
  }
  const isId = !image.names.includes(nameOf(text));
  if (isId && image.names.length > 1 && !force)
    throw new ImageError(
      "IMAGE_UNKNOWN",
      `Cannot remove image "${text}": it has ${image.names.length} names: ${image.names.map(shortName).join(", ")}`,
      { hint: "Remove them by name, or all of them with --force" },
    );
  const removed = isId ? image.names : [nameOf(text)];
  await removeNames(image, removed, { store, signal });
}

function nameOf(text: string): string {
  try {
    return formatReference(nameable(text));
  } catch {
    return text;
  }
}

async function removeNames(
  { descriptor, names }: StoredImage,
  removed: readonly string[],
  { store, signal }: Omit<Removal, "force">,
): Promise<void> {
  const images = await imagesOf(descriptor, store, signal);
  const isLast = removed.length === names.length;
  if (isLast) await store.content.remove(descriptor.digest);
  else for (const name of removed) await store.content.untag(name);
  for (const name of removed) process.stdout.write(`Untagged: ${shortName(name)}\n`);
  if (isLast)
    for (const { manifest } of images) process.stdout.write(`Deleted: sha256:${hexOf(manifest.config.digest)}\n`);
}
