import { openLocalStore } from "@varve/cache";
import { formatReference } from "@varve/oci";
import type { Command } from "../command.ts";
import { STORE_FLAG, takeWords } from "../image-flags.ts";
import { inStoreOrFail } from "../places/open-place.ts";
import { nameable } from "../places/write-place.ts";
import { storePath } from "../store-path.ts";

/** `varve tag`. */
export const tagCommand: Command = {
  usage: "[OPTIONS] SOURCE TARGET",
  description: "Gives an image of the store one more name. SOURCE is a name or an image ID.",
  flags: [STORE_FLAG],
  examples: ["varve tag app:1 registry.example.com/team/app:1"],
  async run(flags, signal) {
    const [source, target] = takeWords(flags, "tag", ["SOURCE", "TARGET"]);
    const reference = nameable(target);
    await using store = await openLocalStore(storePath(flags.value("store")));
    const { descriptor } = await inStoreOrFail(source, { store, signal });
    await store.content.tag(descriptor, formatReference(reference));
    return 0;
  },
};
