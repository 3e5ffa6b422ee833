import type { Descriptor } from "@varve/oci";
import type { LocalStore } from "../ports.ts";
import { type BlobPiece, readPieces } from "./blob-parts.ts";
import { PROTOCOL_LIMITS } from "./protocol.ts";
import type { SegmentPlace } from "./segment-memo.ts";
import { bodyOf, type Server, ServerFailure, sendToServer } from "./transport.ts";

/** What is told of bytes that came from a server. */
export type OnReceived = (bytes: number) => void;

/** Times that a download goes on where it broke off without having got further. */
const STALLS = 3;

/** The bytes of a blob of a server; where they break off they are asked for from there on. Not verified. */
export async function* fetchBlob(
  server: Server,
  { digest, size }: Descriptor,
  { signal, onReceived }: { readonly signal: AbortSignal; readonly onReceived: OnReceived },
): AsyncGenerator<Uint8Array> {
  let [offset, stalls] = [0, 0];
  do {
    const before = offset;
    try {
      const response = await sendToServer(server, `/blobs/${digest}`, { ...rangeFrom(offset), signal });
      if (offset > 0 && response.status !== 206) throw new ServerFailure(`Cannot go on with "${digest}": no range`, {});
      for await (const chunk of bodyOf(response)) {
        offset += chunk.length;
        onReceived(chunk.length);
        yield chunk;
      }
      if (offset < size) throw new ServerFailure(`Cannot fetch "${digest}": it broke off at ${offset} of ${size}`, {});
    } catch (error) {
      signal.throwIfAborted();
      stalls = offset > before ? 0 : stalls + 1;
      if (!(error instanceof ServerFailure) || error.status !== undefined || stalls >= STALLS) throw error;
    }
  } while (offset < size);
}

function rangeFrom(offset: number): { readonly headers?: Readonly<Record<string, string>> } {
  return offset === 0 ? {} : { headers: { range: `bytes=${offset}-` } };
}

/** A piece of a blob, and where the store has its bytes; undefined: nowhere. */
export interface PlacedPiece {
  readonly piece: BlobPiece;
  readonly place: SegmentPlace | undefined;
}

export interface AssembleOptions {
  readonly store: LocalStore;
  readonly signal: AbortSignal;
  readonly onReceived: OnReceived;
}

/** The bytes of a blob, of which only those pieces come from the server that the store does not have. Not verified. */
export async function* assembleBlob(
  server: Server,
  { descriptor, pieces }: { readonly descriptor: Descriptor; readonly pieces: readonly PlacedPiece[] },
  options: AssembleOptions,
): AsyncGenerator<Uint8Array> {
  const ranges = joinRanges(pieces.flatMap(({ piece, place }) => (place === undefined ? [piece] : [])));
  const remote = createReader(fetchRanges(server, { digest: descriptor.digest, ranges }, options));
  for (const { piece, place } of pieces) {
    if (place === undefined) yield* remote(piece.length);
    else {
      const path = options.store.blobPath(place.blob);
      if (path === undefined) throw new Error(`Cannot assemble "${descriptor.digest}": blob "${place.blob}" is gone`);
      yield* readPieces(path, [{ ...place, tarDigest: undefined }]);
    }
  }
}

interface Range {
  readonly start: number;
  end: number;
}

/** Pieces that touch are one range. */
function joinRanges(pieces: readonly BlobPiece[]): readonly Range[] {
  const ranges: Range[] = [];
  for (const { offset, length } of pieces) {
    const last = ranges.at(-1);
    if (last?.end === offset) last.end += length;
    else ranges.push({ start: offset, end: offset + length });
  }
  return ranges;
}

async function* fetchRanges(
  server: Server,
  { digest, ranges }: { readonly digest: string; readonly ranges: readonly Range[] },
  { signal, onReceived }: AssembleOptions,
): AsyncGenerator<Uint8Array> {
  for (let first = 0; first < ranges.length; first += PROTOCOL_LIMITS.ranges) {
    const asked = ranges.slice(first, first + PROTOCOL_LIMITS.ranges).map(({ start, end }) => [start, end]);
    const response = await sendToServer(server, `/blobs/${digest}/ranges`, {
      method: "POST",
      json: { ranges: asked },
      signal,
    });
    for await (const chunk of bodyOf(response)) {
      onReceived(chunk.length);
      yield chunk;
    }
  }
}

/** Reads a stream by lengths. */
function createReader(chunks: AsyncGenerator<Uint8Array>): (length: number) => AsyncGenerator<Uint8Array> {
  let rest: Uint8Array = new Uint8Array();
  return async function* read(length) {
    for (let left = length; left > 0;) {
      if (rest.length === 0) {
        const { done, value } = await chunks.next();
        if (done === true) throw new ServerFailure("Cannot assemble a blob: its ranges broke off", {});
        rest = value;
      }
      const taken = rest.subarray(0, left);
      rest = rest.subarray(taken.length);
      left -= taken.length;
      yield taken;
    }
  };
}
