import { openLocalStore } from "@varve/cache";
import { type Descriptor, isIndexMediaType, resolveImage } from "@varve/oci";
import type { Command } from "../command.ts";
import type { Parsed } from "../flags.ts";
import { PLATFORM_FLAG, platformOf, STORE_FLAG, takeWords } from "../image-flags.ts";
import { type FoundImage, findImage } from "../places/open-place.ts";
import { parsePlace } from "../places/place.ts";
import { writeImage } from "../places/write-place.ts";
import { storePath } from "../store-path.ts";
import { showTransfers, TRANSFER_FLAGS } from "../transfers.ts";

/** `varve copy`. */
export const copyCommand: Command = {
  usage: "[OPTIONS] SOURCE DESTINATION",
  description:
    "Copies an image between any two places, as skopeo copy does; digests stay. A place is a name (the store, else its registry), varve:NAME, docker://NAME, docker-daemon:NAME, oci:PATH[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:NAME]. Of several platforms one is copied, or all with --all.",
  flags: [STORE_FLAG, PLATFORM_FLAG, { name: "all", short: "a", description: "Copy all platforms" }, ...TRANSFER_FLAGS],
  examples: [
    "varve copy docker://debian:bookworm oci:bases/debian",
    "varve copy --all app:1 docker://registry.example.com/team/app:1",
    "varve copy docker-daemon:app:1 app:1",
  ],
  async run(flags, signal) {
    const [source, destination] = takeWords(flags, "copy", ["SOURCE", "DESTINATION"]);
    const place = parsePlace(destination);
    await using store = await openLocalStore(storePath(flags.value("store")));
    const found = await findImage(source, { store, signal });
    const descriptor = await chooseDescriptor(found, flags, signal);
    let where: string;
    {
      using transfers = showTransfers(flags, place.transport === "docker" ? "push" : "pull");
      const { onProgress } = transfers;
      where = await writeImage({ descriptor, content: found.content }, place, { store, signal, onProgress });
    }
    if (!flags.is("quiet")) process.stderr.write(`copied from ${found.where} to ${where}\n`);
    process.stdout.write(`${descriptor.digest}\n`);
    return 0;
  },
};

/** What the flags choose of an index: `--all` it, else its image for one platform. */
export async function chooseDescriptor(
  { descriptor, content }: FoundImage,
  flags: Parsed,
  signal: AbortSignal,
): Promise<Descriptor> {
  if (flags.is("all") || !isIndexMediaType(descriptor.mediaType)) return descriptor;
  return (await resolveImage(content, descriptor, { platform: platformOf(flags), signal })).descriptor;
}
