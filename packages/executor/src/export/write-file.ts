import { randomUUID } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Writable } from "node:stream";
import { StepError } from "../errors.ts";

/**
 * Writes chunks to the file at `path`, which appears whole or not at all.
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
    // Opened before anything can fail: a stream that opens by itself may do so after the file was to be removed.
    const file = await open(temporary, "wx");
    await pipeline(chunks, file.createWriteStream({ highWaterMark: 1024 * 1024 }), { signal });
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw exportError(path, cause);
  }
}

/** Writes chunks to a stream that stays open. @throws StepError `EXPORT_FAILED` where its reader is gone. */
export async function writeStream(
  stream: Writable,
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  await pipeline(chunks, stream, { signal, end: false }).catch((cause: unknown) => {
    throw exportError("-", cause);
  });
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
