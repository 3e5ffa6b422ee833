import type { TarHeader } from "./read-header.ts";
import { TarParser } from "./tar-parser.ts";

/** A member of a tar and its file's bytes, holes as zeros. What is left of `body` is skipped when the next member is asked for. */
export interface TarMember {
  readonly header: TarHeader;
  /** Where the body starts in the tar. */
  readonly offset: number;
  readonly body: AsyncIterable<Buffer>;
}

type TarEvent =
  | { readonly type: "member"; readonly header: TarHeader; readonly offset: number }
  | { readonly type: "bytes"; readonly chunk: Buffer; readonly position: number }
  | { readonly type: "end" };

const zeros = Buffer.alloc(64 * 1024);

/**
 * The members of an uncompressed tar, in its order. For reading a compressed one, see `decompress`.
 * @throws LayerError while reading: `ARCHIVE_CORRUPT`, `ENTRY_UNSUPPORTED`.
 */
export async function* readTar(content: AsyncIterable<Uint8Array>): AsyncGenerator<TarMember> {
  const events = readEvents(content);
  for await (const event of { [Symbol.asyncIterator]: () => events }) {
    if (event.type !== "member") continue;
    const body = readBody(event.header.size, events);
    yield { header: event.header, offset: event.offset, body };
    for await (const _ of body);
  }
}

async function* readEvents(content: AsyncIterable<Uint8Array>): AsyncGenerator<TarEvent> {
  let events: TarEvent[] = [];
  const parser = new TarParser({
    member: (header, offset) => void events.push({ type: "member", header, offset }),
    bytes: (chunk, position) => void events.push({ type: "bytes", chunk, position }),
    end: () => void events.push({ type: "end" }),
  });
  for await (const chunk of content) {
    events = [];
    parser.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
    yield* events;
  }
  parser.finish();
}

async function* readBody(size: number, events: AsyncGenerator<TarEvent>): AsyncGenerator<Buffer> {
  let at = 0;
  for (;;) {
    const { value: event, done } = await events.next();
    if (done === true || event.type !== "bytes") break;
    yield* hole(event.position - at);
    yield event.chunk;
    at = event.position + event.chunk.length;
  }
  yield* hole(size - at);
}

function* hole(length: number): Generator<Buffer> {
  for (let left = length; left > 0; left -= zeros.length) yield zeros.subarray(0, Math.min(left, zeros.length));
}
