import { openLocalStore } from "@varve/cache";
import { unpackImage } from "@varve/executor";
import type { Command } from "../command.ts";
import { PLATFORM_FLAG, platformOf, STORE_FLAG, takeWords } from "../image-flags.ts";
import { findImageFor } from "../places/open-place.ts";
import { storePath } from "../store-path.ts";

/** `varve unpack`. */
export const unpackCommand: Command = {
  usage: "[OPTIONS] IMAGE DIRECTORY",
  description:
    "Writes the files of an image into a new directory, owners, links and attributes included. Removed files of lower layers are not among them.",
  flags: [STORE_FLAG, PLATFORM_FLAG],
  examples: ["varve unpack app:1 rootfs", "varve unpack docker-archive:app.tar rootfs"],
  entersNamespace: true,
  async run(flags, signal) {
    const [text, directory] = takeWords(flags, "unpack", ["IMAGE", "DIRECTORY"]);
    await using store = await openLocalStore(storePath(flags.value("store")));
    const { image } = await findImageFor(text, { store, signal, platform: platformOf(flags) });
    await unpackImage(image, directory, signal);
    return 0;
  },
};
