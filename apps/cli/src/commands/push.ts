import { openLocalStore } from "@varve/cache";
import { formatReference, type Reference } from "@varve/oci";
import { chooseDescriptor } from "./copy.ts";
import type { Command } from "../command.ts";
import { ImageError, UsageError } from "../errors.ts";
import type { Parsed } from "../flags.ts";
import { PLATFORM_FLAG, STORE_FLAG, takeWords } from "../image-flags.ts";
import { inStoreOrFail, type PlaceOptions } from "../places/open-place.ts";
import { referenceOf } from "../places/place.ts";
import { listStoredImages } from "../places/store-images.ts";
import { pushImage } from "../places/write-place.ts";
import { storePath } from "../store-path.ts";
import { showTransfers, TRANSFER_FLAGS } from "../transfers.ts";

/** `varve push`. */
export const pushCommand: Command = {
  usage: "[OPTIONS] NAME[:TAG]",
  description: "Pushes an image of the store to the registry of its name, with all its platforms.",
  flags: [
    STORE_FLAG,
    { ...PLATFORM_FLAG, description: "Push the image for this platform alone" },
    { name: "all-tags", short: "a", description: "Push all tags of the repository" },
    ...TRANSFER_FLAGS,
  ],
  examples: ["varve push registry.example.com/team/app:1"],
  async run(flags, signal) {
    const [text] = takeWords(flags, "push", ["NAME"]);
    await using store = await openLocalStore(storePath(flags.value("store")));
    for (const reference of await references(text, flags, { store, signal })) {
      const found = await inStoreOrFail(formatReference(reference), { store, signal });
      const whole = flags.value("platform") === undefined;
      const descriptor = whole ? found.descriptor : await chooseDescriptor(found, flags, signal);
      using transfers = showTransfers(flags, "push");
      const { onProgress } = transfers;
      await pushImage({ descriptor, content: found.content }, reference, { store, signal, onProgress });
      process.stdout.write(`${reference.tag}: digest: ${descriptor.digest} size: ${descriptor.size}\n`);
    }
    return 0;
  },
};

async function references(text: string, flags: Parsed, { store }: PlaceOptions): Promise<readonly Reference[]> {
  const reference = referenceOf(text.replace(/^docker:\/\//, ""));
  if (reference.digest !== undefined) throw new UsageError("Cannot push a digest", "Write NAME[:TAG]");
  if (!flags.is("all-tags")) return [reference];
  const prefix = formatReference({ registry: reference.registry, repository: reference.repository });
  const names = (await listStoredImages(store)).flatMap((image) => image.names);
  const own = names.filter((name) => name.startsWith(`${prefix}:`));
  if (own.length > 0) return own.map((name) => referenceOf(name));
  throw new ImageError("IMAGE_UNKNOWN", `Cannot push "${text}": the store has no image of that repository`);
}
