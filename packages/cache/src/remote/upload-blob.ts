import { type ContentSource, type Descriptor, readChunks } from "@varve/oci";
import { type BlobPiece, chunkBuffer, digestPieces, readPieces } from "./blob-parts.ts";
import type { UploadPart } from "./protocol.ts";
import { readJson, type Server, ServerFailure, sendToServer } from "./transport.ts";

/** Bytes of parts in one request, and of the blobs that are not worth parts. */
const BATCH = 16 * 1024 * 1024;
export const WHOLE_BELOW: number = 256 * 1024;
/** A server reads a blob again to put it together: milliseconds. */
const COMMIT_TIMEOUT = 120_000;
const TIMEOUT = 30_000;

export interface UploadOptions {
  readonly signal?: AbortSignal;
  /** Told of bytes as they go, and in the end of those that the server had already. */
  readonly onSent: (bytes: number) => void;
  readonly onSaved: (bytes: number) => void;
}

/** Sends the whole blob. */
export async function uploadWhole(
  server: Server,
  descriptor: Descriptor,
  { blobs, signal, onSent }: UploadOptions & { readonly blobs: ContentSource },
): Promise<void> {
  const { digest, size } = descriptor;
  const transfer = signal === undefined ? {} : { signal };
  const response = await sendToServer(server, `/blobs/${digest}`, {
    method: "PUT",
    headers: { "content-type": "application/octet-stream", "content-length": String(size) },
    body: () => tell(readChunks(blobs, descriptor, transfer), onSent),
    timeout: TIMEOUT,
    ...transfer,
  });
  await response.body?.cancel();
}

/** Sends those pieces of the blob at `path` that the server does not have, and lets it put them together. */
export async function uploadPieces(
  server: Server,
  { digest, size, path, pieces }: Descriptor & { readonly path: string; readonly pieces: readonly BlobPiece[] },
  options: UploadOptions,
): Promise<void> {
  const { signal, onSaved } = options;
  const parts = await digestPieces(path, pieces);
  const opened = await sendToServer(server, "/uploads", { method: "POST", json: { digest, size, parts }, signal });
  const { id, missing } = readState(await readJson(opened), parts.length);
  onSaved(size - missing.reduce((sum, position) => sum + (parts[position]?.size ?? 0), 0));
  if (id === undefined) return;
  for (const batch of batches(missing, parts)) await sendBatch(server, { id, batch, path, pieces }, options);
  const done = await sendToServer(server, `/uploads/${id}/commit`, { method: "POST", timeout: COMMIT_TIMEOUT, signal });
  await done.body?.cancel();
}

function readState(
  value: unknown,
  count: number,
): { readonly id: string | undefined; readonly missing: readonly number[] } {
  const { id, missing } = value as { readonly id?: unknown; readonly missing?: unknown };
  const isPosition = (each: unknown): each is number => Number.isSafeInteger(each) && (each as number) < count;
  if (!Array.isArray(missing) || !missing.every(isPosition) || !(id === null || typeof id === "string"))
    throw new ServerFailure("Cannot upload a blob: the server's answer has another form", {});
  return { id: id === null || !/^[\w-]+$/.test(id) ? undefined : id, missing };
}

/** Missing positions in runs of so many bytes. */
function batches(missing: readonly number[], parts: readonly UploadPart[]): readonly (readonly number[])[] {
  const all: number[][] = [];
  let bytes = BATCH;
  for (const position of missing) {
    const { size } = parts[position] ?? { size: 0 };
    if (bytes + size > BATCH) {
      all.push([]);
      bytes = 0;
    }
    all.at(-1)?.push(position);
    bytes += size;
  }
  return all;
}

interface Batch {
  readonly id: string;
  readonly batch: readonly number[];
  readonly path: string;
  readonly pieces: readonly BlobPiece[];
}

async function sendBatch(
  server: Server,
  { id, batch, path, pieces }: Batch,
  { signal, onSent }: UploadOptions,
): Promise<void> {
  const sent = batch.flatMap((position) => pieces[position] ?? []);
  const length = sent.reduce((sum, piece) => sum + piece.length, 0);
  const response = await sendToServer(server, `/uploads/${id}/parts?first=${batch[0]}&count=${batch.length}`, {
    method: "PUT",
    headers: { "content-type": "application/octet-stream", "content-length": String(length) },
    body: () => tell(readPieces(path, sent, chunkBuffer()), onSent),
    timeout: TIMEOUT,
    signal,
  });
  await response.body?.cancel();
}

async function* tell(chunks: AsyncIterable<Uint8Array>, onSent: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    onSent(chunk.length);
    yield chunk;
  }
}
