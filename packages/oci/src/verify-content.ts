import { Readable } from "node:stream";
import type { ContentSource, TransferOptions } from "./content.ts";
import type { Descriptor } from "./descriptor.ts";
import { createDigester } from "./digest.ts";
import { OciError } from "./errors.ts";

/** What ends with an error by itself where it is not what this descriptor says. */
const verified = new WeakMap<AsyncIterable<Uint8Array>, Descriptor>();

/**
 * `content` as it comes, ended with an error where it is not what `descriptor` says: the consumer sees no normal end.
 * What was made by this function or by `readChunks` for the same descriptor is not verified again.
 * @throws OciError `SIZE_INVALID` as soon as there is too much, or at the end; `DIGEST_MISMATCH` at the end.
 */
export function verifyContent(descriptor: Descriptor, content: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const known = verified.get(content);
  if (known?.digest === descriptor.digest && known.size === descriptor.size) return content;
  return asVerified(descriptor, verify(descriptor, content));
}

/** `content`, of which the caller knows that it ends with an error where it is not what `descriptor` says. */
export function asVerified(descriptor: Descriptor, content: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  verified.set(content, descriptor);
  return content;
}

/**
 * The content of `descriptor`, out of few buffers where `source` has that power: a chunk is valid until the next one is
 * asked for.
 * @throws what `fetch` throws.
 */
export function readChunks(
  source: ContentSource,
  descriptor: Descriptor,
  options?: TransferOptions,
): AsyncIterable<Uint8Array> {
  const chunks = source.read?.(descriptor, options) ?? source.fetch(descriptor, options);
  return asVerified(descriptor, chunks as AsyncIterable<Uint8Array>);
}

async function* verify(
  descriptor: Descriptor,
  content: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const digester = createDigester();
  let size = 0;
  for await (const chunk of content) {
    size += chunk.length;
    if (size > descriptor.size) throw sizeInvalid(descriptor, `at least ${size}`);
    digester.update(chunk);
    yield chunk;
  }
  if (size !== descriptor.size) throw sizeInvalid(descriptor, String(size));
  const digest = digester.digest();
  if (digest !== descriptor.digest) {
    throw new OciError(
      "DIGEST_MISMATCH",
      `Cannot use content "${descriptor.digest}": its bytes have the digest ${digest}`,
      {
        hint: "The content was altered or damaged where it is kept: remove it there, then try again",
      },
    );
  }
}

function sizeInvalid(descriptor: Descriptor, size: string): OciError {
  return new OciError(
    "SIZE_INVALID",
    `Cannot use content "${descriptor.digest}": it has ${size} bytes; wanted ${descriptor.size}`,
  );
}

/** Bytes that a stream of content holds ready. */
const READ_AHEAD = 1024 * 1024;

/**
 * What `open` gives, verified as by `verifyContent`, as the stream that a `fetch` returns: aborted, it ends at once
 * with the signal's reason; destroyed, it aborts the signal that `open` was given, so that nothing is read behind it.
 */
export function streamContent(
  descriptor: Descriptor,
  open: (signal: AbortSignal) => AsyncIterable<Uint8Array>,
  { signal }: TransferOptions = {},
): Readable {
  const stop = new AbortController();
  const chunks = verify(descriptor, open(stop.signal));
  const abort = (): void => void stream.destroy(asError(signal?.reason));
  const stream = new Readable({
    highWaterMark: READ_AHEAD,
    read() {
      chunks.next().then(
        ({ done, value }) => stream.destroyed || stream.push(done === true ? null : value),
        (error: unknown) => stream.destroy(asError(error)),
      );
    },
    destroy(error, callback) {
      signal?.removeEventListener("abort", abort);
      stop.abort(error ?? undefined);
      void endQuietly(chunks);
      callback(error);
    },
  });
  if (signal?.aborted === true) abort();
  else signal?.addEventListener("abort", abort, { once: true });
  return stream;
}

/** What a generator says at its end is nobody's business once its stream is destroyed. */
async function endQuietly(chunks: AsyncGenerator): Promise<void> {
  await chunks.return(undefined).catch(() => undefined);
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason), { cause: reason });
}

/** 4 MiB: what registries accept as a manifest. */
const DEFAULT_LIMIT = 4 * 1024 * 1024;

/**
 * Content as one buffer, for metadata. `limit` in bytes, 4 MiB where it is left out.
 * @throws OciError `SIZE_INVALID` where the descriptor is larger than the limit, and all that `fetch` throws.
 */
export async function readContent(
  source: ContentSource,
  descriptor: Descriptor,
  options: TransferOptions & { readonly limit?: number } = {},
): Promise<Buffer> {
  const limit = options.limit ?? DEFAULT_LIMIT;
  if (descriptor.size > limit) {
    throw new OciError(
      "SIZE_INVALID",
      `Cannot read content "${descriptor.digest}": it has ${descriptor.size} bytes; at most ${limit} are read`,
    );
  }
  const chunks: Uint8Array[] = [];
  // Where the source reads into few buffers, a chunk is valid until the next one only.
  for await (const chunk of readChunks(source, descriptor, options)) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}
