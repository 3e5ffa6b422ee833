import { type FileHandle } from "node:fs/promises";
import { createDigester, type Digest } from "@varve/oci";
import { writeFully } from "./blob-files.ts";

/** A run of an upload's bytes. */
export interface PlacedPart {
  /** Where it belongs in the upload's file. */
  readonly offset: number;
  readonly size: number;
  /** Where its bytes are to be taken from; undefined where they are in place. */
  readonly source: { readonly file: FileHandle; readonly offset: number } | undefined;
}

/** Bytes that are read at a time. */
const CHUNK = 1024 * 1024;

/** Completes an upload's file from its parts, in order and without gaps, and gives the digest of what is then in it. */
export async function assembleUpload(file: FileHandle, parts: readonly PlacedPart[]): Promise<Digest> {
  const digester = createDigester();
  for (const { offset, size, source } of parts) {
    const from = source ?? { file, offset };
    let position = offset;
    for await (const chunk of readRange(from.file, { offset: from.offset, size })) {
      digester.update(chunk);
      if (source !== undefined) await writeFully(file, chunk, position);
      position += chunk.length;
    }
  }
  return digester.digest();
}

/** Bytes of a file, as far as there are any; a chunk is good until the next one is asked for. */
async function* readRange(
  file: FileHandle,
  { offset, size }: { readonly offset: number; readonly size: number },
): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.allocUnsafe(Math.min(CHUNK, size));
  for (let done = 0; done < size;) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, size - done), offset + done);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
    done += bytesRead;
  }
}

/** The digest of a run of a file's bytes. */
export async function digestRange(
  file: FileHandle,
  range: { readonly offset: number; readonly size: number },
): Promise<Digest> {
  const digester = createDigester();
  for await (const chunk of readRange(file, range)) digester.update(chunk);
  return digester.digest();
}
