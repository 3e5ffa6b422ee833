import { randomUUID } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Writable } from "node:stream";
import { StepError } from "../errors.ts";

/**
 * Writes chunks to the file at `path`, which appears whole or not at all. A chunk is done with when the next is asked for.
 * @throws StepError `EXPORT_FAILED`; what made the chunks fail is passed on.
 */
export async function writeFileWhole(
  path: string,
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  const temporary = `${path}.${randomUUID().slice(0, 8)}.partial`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeNewFile(temporary, chunks, signal);
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw exportError(path, cause);
  }
}

async function writeNewFile(path: string, chunks: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
  await using file = await open(path, "wx");
  await file.writeFile(chunks, { signal });
}

/**
 * Writes chunks to a stream that stays open. A chunk is done with when the next is asked for.
 * @throws StepError `EXPORT_FAILED` where its reader is gone.
 */
export async function writeStream(
  stream: Writable,
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  await pipeline(copyEach(chunks), stream, { signal, end: false }).catch((cause: unknown) => {
    throw exportError("-", cause);
  });
}

/** A stream keeps what it can't pass on yet. */
async function* copyEach(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) yield Buffer.from(chunk);
}

/** A failure of the file system told as an exporter's. */
export function exportError(path: string, cause: unknown): unknown {
  const { code, syscall } = cause as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined) return cause;
  const reasons: Readonly<Record<string, string>> = { ENOSPC: "the disk is full", EPIPE: "nobody reads it any more" };
  const reason = reasons[code] ?? code;
  return new StepError("EXPORT_FAILED", `Cannot write "${path}": ${reason}`, {
    cause,
    hint: "Check the path, its permissions and the space on its disk",
  });
}
