import { type LocalStore, openLocalStore } from "@varve/cache";
import {
  type NamedImage,
  saveDockerArchive,
  saveOciArchive,
  saveV1Archive,
  writeFileWhole,
  writeStream,
} from "@varve/executor";
import type { TarPart } from "@varve/layer";
import { type Digest, formatReference, isIndexMediaType, type Platform, resolveImage } from "@varve/oci";
import type { Command } from "../command.ts";
import { UsageError } from "../errors.ts";
import type { Parsed } from "../flags.ts";
import { PLATFORM_FLAG, platformOf, STORE_FLAG, takeList } from "../image-flags.ts";
import { findImage } from "../places/open-place.ts";
import { nameable } from "../places/write-place.ts";
import { storePath } from "../store-path.ts";

const FORMATS = ["docker", "docker-v1", "oci"] as const;
type Format = (typeof FORMATS)[number];

/** `varve save`. */
export const saveCommand: Command = {
  usage: "[OPTIONS] IMAGE [IMAGE…]",
  description:
    "Writes images to one archive, as docker save does; to standard output without --output. Layers that they share stand in it once.",
  flags: [
    STORE_FLAG,
    PLATFORM_FLAG,
    { name: "output", short: "o", value: "FILE", description: "The archive to write" },
    {
      name: "format",
      value: "FORMAT",
      description:
        "docker (default): for every docker load, with an OCI layout in it; docker-v1: as Docker up to 24 wrote it; oci: an OCI layout with all platforms",
    },
  ],
  examples: ["varve save -o app.tar app:1", "varve save --format oci app:1 app:2 | gzip > both.tar.gz"],
  async run(flags, signal) {
    const texts = takeList(flags, "save", "IMAGE");
    const format = formatOf(flags);
    const output = flags.value("output");
    if (output === undefined && process.stdout.isTTY)
      throw new UsageError("Cannot write an archive to a terminal", "Give --output FILE, or redirect the output");
    await using store = await openLocalStore(storePath(flags.value("store")));
    const platform = flags.value("platform") === undefined && format === "oci" ? undefined : platformOf(flags);
    const images = await collectImages(texts, { store, signal, platform });
    const chunks = await createArchive(images, format, { store, signal });
    if (output === undefined || output === "-") await writeStream(process.stdout, chunks, signal);
    else await writeFileWhole(output, chunks, signal);
    return 0;
  },
};

function formatOf(flags: Parsed): Format {
  const text = flags.value("format") ?? "docker";
  const format = FORMATS.find((each) => each === text);
  if (format !== undefined) return format;
  throw new UsageError(`Cannot use --format "${text}": wanted ${FORMATS.join(", ")}`);
}

interface Collecting {
  readonly store: LocalStore;
  readonly signal: AbortSignal;
  /** Undefined: indexes as they are. */
  readonly platform: Platform | undefined;
}

/** Each image once, with the names by which it was asked for. */
async function collectImages(
  texts: readonly string[],
  { store, signal, platform }: Collecting,
): Promise<readonly NamedImage[]> {
  const images = new Map<Digest, NamedImage>();
  for (const text of texts) {
    const found = await findImage(text, { store, signal });
    const descriptor =
      platform !== undefined && isIndexMediaType(found.descriptor.mediaType)
        ? (await resolveImage(found.content, found.descriptor, { platform, signal })).descriptor
        : found.descriptor;
    const names = found.names.filter((name) => isMeant(name, text));
    const known = images.get(descriptor.digest)?.names ?? [];
    images.set(descriptor.digest, { descriptor, content: found.content, names: [...new Set([...known, ...names])] });
  }
  return [...images.values()];
}

/** An image that was asked for by its ID has no name in the archive, as with Docker. */
function isMeant(name: string, text: string): boolean {
  const bare = text.replace(/^(?:varve:|docker:\/\/|docker-daemon:|docker-image:\/\/)/, "");
  if (/^(?:oci|oci-archive|docker-archive|oci-layout):/.test(text)) return name.includes("/");
  try {
    return formatReference(nameable(bare)) === name;
  } catch {
    return false;
  }
}

async function createArchive(
  images: readonly NamedImage[],
  format: Format,
  { store, signal }: Omit<Collecting, "platform">,
): Promise<AsyncIterable<TarPart>> {
  switch (format) {
    case "docker":
      return saveDockerArchive(images, signal);
    case "docker-v1":
      return saveV1Archive(images, { scratch: await store.makeTemporaryDirectory("tmp"), signal });
    case "oci":
      return saveOciArchive(images, signal);
    default:
      return format satisfies never;
  }
}
