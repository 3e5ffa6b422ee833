import { randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Writable } from "node:stream";
import { chunksOf, copyFile, type TarPart } from "@varve/layer";
import { StepError } from "../errors.ts";

/**
 * Writes parts to the file at `path`, which appears whole or not at all. A part is done with when the next is asked for.
 * @throws StepError `EXPORT_FAILED`; what made the parts fail is passed on.
 */
export async function writeFileWhole(path: string, parts: AsyncIterable<TarPart>, signal: AbortSignal): Promise<void> {
  const temporary = `${path}.${randomUUID().slice(0, 8)}.partial`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeNewFile(temporary, parts, signal);
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw exportError(path, cause);
  }
}

async function writeNewFile(path: string, parts: AsyncIterable<TarPart>, signal: AbortSignal): Promise<void> {
  await using file = await open(path, "wx");
  let length = 0;
  for await (const part of parts) {
    signal.throwIfAborted();
    if (part instanceof Uint8Array) {
      await writeAt(file, part, length);
      length += part.length;
    } else {
      await copyAt(path, part, { target: length, signal });
      length += part.size;
    }
  }
}

async function writeAt(file: FileHandle, chunk: Uint8Array, start: number): Promise<void> {
  for (let done = 0; done < chunk.length;)
    done += (await file.write(chunk, done, chunk.length - done, start + done)).bytesWritten;
}

async function copyAt(
  into: string,
  { file, digest, size, body }: Exclude<TarPart, Uint8Array>,
  { target, signal }: { readonly target: number; readonly signal: AbortSignal },
): Promise<void> {
  const copied = await copyFile({ from: file, into, target, length: size }, signal).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return undefined;
  });
  if (copied === digest) return;
  // What is wrong with the file its own reader tells.
  for await (const _ of body) continue;
  throw new Error(`Cannot copy "${file}": it changed`);
}

/**
 * Writes parts to a stream that stays open. A part is done with when the next is asked for.
 * @throws StepError `EXPORT_FAILED` where its reader is gone.
 */
export async function writeStream(stream: Writable, parts: AsyncIterable<TarPart>, signal: AbortSignal): Promise<void> {
  await pipeline(copyEach(chunksOf(parts)), stream, { signal, end: false }).catch((cause: unknown) => {
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
