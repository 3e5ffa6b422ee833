import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type LocalStore, openLocalStore } from "@varve/cache";
import { CodedError, type Digest, parseDigest } from "@varve/oci";
import type { Command } from "../command.ts";
import { storePath } from "../store-path.ts";

/** `varve cache verify`. */
export const cacheVerifyCommand: Command = {
  usage: "[OPTIONS]",
  description: "Reads every blob of the store, and names those that are damaged. Exit code 1: one is.",
  flags: [{ name: "store", value: "DIR", description: "The store to look at" }],
  examples: ["varve cache verify"],
  async run(flags, signal) {
    await using store = await openLocalStore(storePath(flags.value("store")));
    return verifyBlobs(store, signal);
  },
};

async function verifyBlobs({ path, content }: LocalStore, signal: AbortSignal): Promise<number> {
  const directory = join(path, "blobs", "sha256");
  const digests = readdirSync(directory).flatMap((name) => digestIn(name));
  let damaged = 0;
  for (const digest of digests) {
    signal.throwIfAborted();
    const problem = await verifyBlob(digest, { directory, content, signal });
    if (problem === undefined) continue;
    damaged += 1;
    process.stdout.write(`${problem}\n`);
  }
  process.stdout.write(`${digests.length} blobs read, ${damaged} damaged\n`);
  return damaged === 0 ? 0 : 1;
}

/** Files that are being written have other names. */
function digestIn(name: string): readonly Digest[] {
  return /^[0-9a-f]{64}$/.test(name) ? [parseDigest(`sha256:${name}`)] : [];
}

interface BlobPlace {
  readonly directory: string;
  readonly content: LocalStore["content"];
  readonly signal: AbortSignal;
}

/** What is wrong with the blob; undefined for a sound one, and for one that was removed meanwhile. */
async function verifyBlob(digest: Digest, { directory, content, signal }: BlobPlace): Promise<string | undefined> {
  const stat = lstatSync(join(directory, digest.slice("sha256:".length)), { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  const blob = content.fetch({ mediaType: "application/octet-stream", digest, size: stat.size }, { signal });
  try {
    for await (const _ of blob);
    return undefined;
  } catch (error) {
    if (!(error instanceof CodedError) || error.code === "BLOB_UNKNOWN") throw error;
    return `${error.code} ${error.message}`;
  }
}
