import { randomBytes } from "node:crypto";
import type { ContentStore } from "../content.ts";
import type { Descriptor } from "../descriptor.ts";
import { digestOf } from "../digest.ts";

/** The descriptor of `bytes` as content of no particular kind. */
export function descriptorOf(bytes: Uint8Array, mediaType = "application/octet-stream"): Descriptor {
  return { mediaType, digest: digestOf(bytes), size: bytes.length };
}

/** `size` random bytes and their descriptor. */
export function randomBlob(size: number): { readonly bytes: Buffer; readonly descriptor: Descriptor } {
  const bytes = randomBytes(size);
  return { bytes, descriptor: descriptorOf(bytes) };
}

/** `bytes` in pieces of `length` bytes. */
export async function* inChunks(bytes: Uint8Array, length: number = bytes.length): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += length) yield bytes.subarray(start, start + length);
}

/** `bytes` in pieces of `length` bytes out of one buffer, which is cleared as soon as the next piece is asked for. */
export async function* inOneBuffer(bytes: Uint8Array, length: number): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.alloc(length);
  for await (const chunk of inChunks(bytes, length)) {
    buffer.set(chunk);
    yield buffer.subarray(0, chunk.length);
    buffer.fill(0);
  }
}

/** All bytes of a stream. */
export async function bytesOf(content: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(Buffer.from(chunk as Uint8Array));
  return Buffer.concat(chunks);
}

/** Puts `bytes` into `store` under this media type, and gives the descriptor. */
export async function pushBytes(store: ContentStore, bytes: Uint8Array, mediaType?: string): Promise<Descriptor> {
  const descriptor = descriptorOf(bytes, mediaType);
  await store.push(descriptor, inChunks(bytes));
  return descriptor;
}
