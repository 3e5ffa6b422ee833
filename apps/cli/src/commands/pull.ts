import { openLocalStore } from "@varve/cache";
import { copyImage, familiarReference, formatReference } from "@varve/oci";
import { chooseDescriptor } from "./copy.ts";
import type { Command } from "../command.ts";
import { UsageError } from "../errors.ts";
import { PLATFORM_FLAG, STORE_FLAG, takeWords } from "../image-flags.ts";
import { findImage } from "../places/open-place.ts";
import { parsePlace, referenceOf } from "../places/place.ts";
import { rememberDigest } from "../places/repo-digests.ts";
import { storePath } from "../store-path.ts";
import { showTransfers, TRANSFER_FLAGS } from "../transfers.ts";

/** `varve pull`. */
export const pullCommand: Command = {
  usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
  description: "Takes an image from its registry into the store.",
  flags: [STORE_FLAG, PLATFORM_FLAG, { name: "all", short: "a", description: "Take all platforms" }, ...TRANSFER_FLAGS],
  examples: ["varve pull debian:bookworm", "varve pull --platform linux/arm64 debian:bookworm"],
  async run(flags, signal) {
    const [text] = takeWords(flags, "pull", ["NAME"]);
    const place = parsePlace(text);
    if (place.transport !== "name" && place.transport !== "docker")
      throw new UsageError(`Cannot pull "${text}": it is at no registry`, "varve copy copies between any two places");
    const reference = place.transport === "docker" ? place.reference : referenceOf(place.text);
    await using store = await openLocalStore(storePath(flags.value("store")));
    const found = await findImage(`docker://${formatReference(reference)}`, { store, signal });
    const descriptor = await chooseDescriptor(found, flags, signal);
    {
      using transfers = showTransfers(flags, "pull");
      await copyImage(found.content, store.content, { descriptor, signal, onProgress: transfers.onProgress });
    }
    await rememberDigest(descriptor, reference, store);
    if (reference.digest === undefined) await store.content.tag(descriptor, formatReference(reference));
    else await store.content.add(descriptor);
    process.stdout.write(`${familiarReference(reference)}\n`);
    return 0;
  },
};
