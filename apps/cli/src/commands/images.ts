import { type LocalStore, openLocalStore } from "@varve/cache";
import { encodeGoJson } from "@varve/executor";
import { formatPlatform, type Image, parseReference } from "@varve/oci";
import type { Command } from "../command.ts";
import { dockerSince, dockerSize, dockerTime, shortId } from "../docker-words.ts";
import { UsageError } from "../errors.ts";
import type { Parsed } from "../flags.ts";
import { STORE_FLAG } from "../image-flags.ts";
import { imagesOf, listStoredImages, shortName, type StoredImage } from "../places/store-images.ts";
import { type Row, writeRows } from "../rows.ts";
import { storePath } from "../store-path.ts";

/** `varve images`. */
export const imagesCommand: Command = {
  usage: "[OPTIONS] [REPOSITORY[:TAG]]",
  description:
    "Lists the images in the store, each platform on a line. SIZE is what its layers take in the store and in a registry.",
  flags: [
    STORE_FLAG,
    { name: "all", short: "a", description: "List images without a name, too" },
    { name: "digests", description: "Show the digests of manifests" },
    { name: "quiet", short: "q", description: "Print only IDs" },
    { name: "no-trunc", description: "Print whole IDs" },
    { name: "format", value: "FORMAT", description: "table (default), json, a Go template, or table TEMPLATE" },
    { name: "json", description: "Shorthand for --format json" },
  ],
  examples: ["varve images", "varve images -q app", "varve images --format '{{.Repository}}:{{.Tag}} {{.ID}}'"],
  async run(flags, signal) {
    const [filter, ...others] = flags.positionals;
    if (others.length > 0) throw new UsageError(`Cannot list images: "${others[0]}" is one word too many`);
    await using store = await openLocalStore(storePath(flags.value("store")));
    const rows = await listRows(store, { flags, filter, signal });
    if (flags.is("quiet")) {
      process.stdout.write([...new Set(rows.map((row) => row["ID"]))].map((id) => `${id}\n`).join(""));
      return 0;
    }
    writeRows(rows, {
      format: flags.is("json") ? "json" : (flags.value("format") ?? "table"),
      columns: {
        Repository: "REPOSITORY",
        Tag: "TAG",
        ...(flags.is("digests") ? { Digest: "DIGEST" } : {}),
        ID: "IMAGE ID",
        CreatedSince: "CREATED",
        Size: "SIZE",
        Platform: "PLATFORM",
      },
      encode: encodeGoJson,
    });
    return 0;
  },
};

interface Listing {
  readonly flags: Parsed;
  readonly filter: string | undefined;
  readonly signal: AbortSignal;
}

async function listRows(store: LocalStore, { flags, filter, signal }: Listing): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const stored of await listStoredImages(store)) {
    if (stored.names.length === 0 && !flags.is("all")) continue;
    const names = stored.names.filter((name) => filter === undefined || fits(name, filter));
    if (filter !== undefined && names.length === 0) continue;
    for (const image of await imagesOf(stored.descriptor, store, signal))
      for (const name of names.length === 0 ? [undefined] : names)
        rows.push(describeImage(name, image, { stored, full: flags.is("no-trunc") }));
  }
  return rows.toSorted((a, b) => compare(a["Repository"], b["Repository"]) || compare(a["Tag"], b["Tag"]));
}

function compare(a = "", b = ""): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** Without a tag the filter means all of the repository. */
function fits(name: string, filter: string): boolean {
  const wanted = parseReference(filter);
  const reference = parseReference(name);
  const isSame = wanted.registry === reference.registry && wanted.repository === reference.repository;
  return isSame && (wanted.tag === undefined || wanted.tag === reference.tag);
}

function describeImage(
  name: string | undefined,
  { descriptor, manifest, config }: Image,
  { stored, full }: { readonly stored: StoredImage; readonly full: boolean },
): Row {
  const short = name === undefined ? "" : shortName(name);
  const colon = short.lastIndexOf(":");
  const bytes = manifest.layers.reduce((sum, { size }) => sum + size, manifest.config.size);
  return {
    CreatedAt: dockerTime(config.created),
    CreatedSince: dockerSince(config.created, Date.now()),
    Digest: stored.descriptor.digest,
    ID: full ? manifest.config.digest : shortId(manifest.config.digest),
    ManifestDigest: descriptor.digest,
    Platform: formatPlatform(config),
    Repository: name === undefined ? "<none>" : short.slice(0, colon),
    Size: dockerSize(bytes),
    Tag: name === undefined ? "<none>" : short.slice(colon + 1),
  };
}
