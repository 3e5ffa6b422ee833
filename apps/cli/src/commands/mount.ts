import { openLocalStore } from "@varve/cache";
import { listMountedImages, mountImage } from "@varve/executor";
import type { Command } from "../command.ts";
import { PLATFORM_FLAG, platformOf, STORE_FLAG, takeWords } from "../image-flags.ts";
import { findImageFor } from "../places/open-place.ts";
import { storePath } from "../store-path.ts";

/** `varve mount`. */
export const mountCommand: Command = {
  usage: "[OPTIONS] [IMAGE DIRECTORY]",
  description:
    "Shows the files of an image in a directory, which must be there, until varve umount. Without arguments it lists what is mounted. It needs root.",
  flags: [
    STORE_FLAG,
    PLATFORM_FLAG,
    { name: "writable", short: "w", description: "Let files be written; what is written is lost with umount" },
  ],
  examples: ["varve mount app:1 /mnt", "varve mount"],
  async run(flags, signal) {
    await using store = await openLocalStore(storePath(flags.value("store")));
    if (flags.positionals.length === 0) {
      for (const { name, target } of await listMountedImages(store)) process.stdout.write(`${name} ${target}\n`);
      return 0;
    }
    const [text, directory] = takeWords(flags, "mount", ["IMAGE", "DIRECTORY"]);
    const { image } = await findImageFor(text, { store, signal, platform: platformOf(flags) });
    await mountImage(image, directory, {
      store,
      signal,
      name: text,
      access: flags.is("writable") ? "write" : "read",
      snapshotter: "auto",
      onEvent: () => undefined,
    });
    return 0;
  },
};
