import { createWriteStream } from "node:fs";
import { join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { type LocalStore, openLocalStore } from "@varve/cache";
import type { ArchivedImage } from "@varve/executor";
import {
  CodedError,
  type ContentSource,
  copyImage,
  familiarReference,
  formatReference,
  hostPlatform,
  isIndexMediaType,
  parseReference,
  type Reference,
  resolveImage,
  withDefaultTag,
} from "@varve/oci";
import type { Command } from "../command.ts";
import { UsageError } from "../errors.ts";
import { STORE_FLAG } from "../image-flags.ts";
import { openArchive } from "../places/open-place.ts";
import { storePath } from "../store-path.ts";

/** `varve load`. */
export const loadCommand: Command = {
  usage: "[OPTIONS]",
  description:
    "Takes the images of an archive into the store, as docker load does: what docker save wrote, of any age, or an OCI archive; plain, or compressed by gzip, bzip2, xz or zstd.",
  flags: [
    STORE_FLAG,
    { name: "input", short: "i", value: "FILE", description: "The archive; standard input where it is left out" },
    { name: "quiet", short: "q", description: "Accepted; there is no progress to leave out" },
  ],
  examples: ["varve load -i app.tar", "gunzip < app.tar.gz | varve load"],
  async run(flags, signal) {
    const [extra] = flags.positionals;
    if (extra !== undefined)
      throw new UsageError(`Cannot run load: "${extra}" is one word too many`, `Write varve load -i ${extra}`);
    await using store = await openLocalStore(storePath(flags.value("store")));
    const input = flags.value("input") ?? "-";
    const file = input === "-" ? await spoolInput(store, signal) : resolve(input);
    const { images, content } = await openArchive(file, { store, signal });
    for (const image of images)
      for (const line of await loadImage(image, content, { store, signal })) process.stdout.write(`${line}\n`);
    return 0;
  },
};

async function spoolInput(store: LocalStore, signal: AbortSignal): Promise<string> {
  if (process.stdin.isTTY) throw new UsageError("Cannot read an archive from a terminal", "Give --input FILE");
  const file = join(await store.makeTemporaryDirectory("tmp"), "standard-input.tar");
  await pipeline(process.stdin, createWriteStream(file), { signal });
  return file;
}

async function loadImage(
  { descriptor, names }: ArchivedImage,
  content: ContentSource,
  { store, signal }: { readonly store: LocalStore; readonly signal: AbortSignal },
): Promise<readonly string[]> {
  await copyImage(content, store.content, { descriptor, signal });
  const references = names.flatMap(asReference);
  for (const reference of references) await store.content.tag(descriptor, formatReference(reference));
  if (references.length > 0) return references.map((each) => `Loaded image: ${familiarReference(each)}`);
  await store.content.add(descriptor);
  const id = isIndexMediaType(descriptor.mediaType)
    ? descriptor.digest
    : (await resolveImage(content, descriptor, { platform: hostPlatform(), signal })).manifest.config.digest;
  return [`Loaded image ID: ${id}`];
}

/** A tag alone, as OCI layouts have it, names no repository. */
function asReference(name: string): readonly Reference[] {
  if (!/[/:]/.test(name)) return [];
  try {
    return [withDefaultTag(parseReference(name))];
  } catch (error) {
    if (error instanceof CodedError) return [];
    throw error;
  }
}
