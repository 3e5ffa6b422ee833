import type { Digest } from "@varve/oci";
import type { LocalStore, Memo } from "../ports.ts";
import type { BlobPiece } from "./blob-parts.ts";

const MEMO = "segment/1";

/** Where a segment's bytes stand: in a blob of the store. */
export interface SegmentPlace {
  readonly blob: Digest;
  readonly offset: number;
  readonly length: number;
}

/** Remembers where the segments of a blob of the store are, under their tar digests and the blob's media type. */
export async function rememberSegments(
  memo: Memo,
  { blob, mediaType }: { readonly blob: Digest; readonly mediaType: string },
  pieces: readonly BlobPiece[],
): Promise<void> {
  await Promise.all(
    pieces.map(async ({ tarDigest, offset, length }) => {
      if (tarDigest === undefined) return;
      await memo.put(MEMO, nameOf(mediaType, tarDigest), Buffer.from(JSON.stringify({ blob, offset, length })));
    }),
  );
}

/** Where each of `pieces` can be read in the store: undefined where it can't, or where what is there has another length. */
export async function findSegments(
  store: LocalStore,
  mediaType: string,
  pieces: readonly BlobPiece[],
): Promise<readonly (SegmentPlace | undefined)[]> {
  return Promise.all(
    pieces.map(async ({ tarDigest, length }) => {
      if (tarDigest === undefined) return undefined;
      const value = await store.memo.get(MEMO, nameOf(mediaType, tarDigest));
      if (value === undefined) return undefined;
      const place = JSON.parse(Buffer.from(value).toString("utf8")) as SegmentPlace;
      return place.length === length && store.blobPath(place.blob) !== undefined ? place : undefined;
    }),
  );
}

/** A segment can stand in any blob of the same compression: docs/cache-format.md, "Segments". */
function nameOf(mediaType: string, tarDigest: Digest): string {
  return `${mediaType.slice(mediaType.lastIndexOf("+") + 1)}/${tarDigest}`;
}
