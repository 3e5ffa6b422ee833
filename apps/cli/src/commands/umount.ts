import { openLocalStore } from "@varve/cache";
import { unmountImage } from "@varve/executor";
import type { Command } from "../command.ts";
import { ImageError } from "../errors.ts";
import { STORE_FLAG, takeWords } from "../image-flags.ts";
import { storePath } from "../store-path.ts";

/** `varve umount`. */
export const umountCommand: Command = {
  usage: "[OPTIONS] DIRECTORY",
  description: "Ends varve mount: the directory is as it was before.",
  flags: [STORE_FLAG],
  examples: ["varve umount /mnt"],
  async run(flags) {
    const [directory] = takeWords(flags, "umount", ["DIRECTORY"]);
    await using store = await openLocalStore(storePath(flags.value("store")));
    if (await unmountImage(directory, store)) return 0;
    throw new ImageError("IMAGE_UNKNOWN", `Cannot unmount "${directory}": no image of the store is mounted there`, {
      hint: "varve mount lists what is mounted",
    });
  },
};
