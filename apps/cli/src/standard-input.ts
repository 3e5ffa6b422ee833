import { createWriteStream } from "node:fs";
import { mkdir, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { detectArchive, type Entry, indexArchive, writeTree } from "@varve/layer";
import { UsageError } from "./errors.ts";

/** What stood on standard input where the context was to come from there: an archive's files, or a Dockerfile. */
export type StandardInput =
  | { readonly type: "context"; readonly directory: string }
  | { readonly type: "dockerfile"; readonly text: string };

/**
 * Reads standard input as `docker build -` does: a tar, plain or compressed by gzip, bzip2, xz or zstd, is the build
 * context, and is unpacked below `scratch`; anything else is a Dockerfile without a context.
 * @throws UsageError for a compressed file that holds no tar; LayerError.
 */
export async function readStandardInput(scratch: string): Promise<StandardInput> {
  const file = join(scratch, "standard-input");
  await pipeline(process.stdin, createWriteStream(file));
  if (detectArchive(await firstBytes(file)) === undefined)
    return { type: "dockerfile", text: await readFile(file, "utf8") };
  const directory = join(scratch, "context");
  await using archive = await indexArchive(file, { directory: join(scratch, "spool") });
  if (archive === undefined)
    throw new UsageError("Cannot build: standard input is compressed, and holds neither a tar nor a Dockerfile");
  await mkdir(directory);
  await writeTree([ROOT, ...archive.entries.flatMap(asContext)], directory);
  await rm(file);
  return { type: "context", directory };
}

/** A Dockerfile alone. */
export async function readStandardInputText(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

async function firstBytes(path: string): Promise<Buffer> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(512), 0, 512, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

const OWNER = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const ROOT: Entry = { path: "", type: "directory", mode: 0o755, ...OWNER, size: 0, mtime: 0n };

/** All of a context belongs to root in the image, so here it may belong to whoever builds; devices mean nothing. */
function asContext(entry: Entry): readonly Entry[] {
  if (entry.type === "char-device" || entry.type === "block-device") return [];
  return [{ ...entry, ...OWNER }];
}
