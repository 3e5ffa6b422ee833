import { createWriteStream } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { unpackContext } from "./unpack-context.ts";

/** What stood on standard input where the context was to come from there: an archive's files, or a Dockerfile. */
export type StandardInput =
  | { readonly type: "context"; readonly directory: string }
  | { readonly type: "dockerfile"; readonly text: string };

/**
 * Reads standard input as `docker build -` does: a tar is the build context, and is unpacked below `scratch`; anything
 * else is a Dockerfile without a context.
 * @throws UsageError for a compressed file that holds no tar; LayerError.
 */
export async function readStandardInput(scratch: string): Promise<StandardInput> {
  const file = join(scratch, "standard-input");
  await pipeline(process.stdin, createWriteStream(file));
  const directory = await unpackContext(file, { scratch, name: "standard input" });
  if (directory === undefined) return { type: "dockerfile", text: await readFile(file, "utf8") };
  await rm(file);
  return { type: "context", directory };
}

/** A Dockerfile alone. */
export async function readStandardInputText(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
