import { createHash, hash } from "node:crypto";
import type { Digest } from "@varve/oci";
import type { Entry } from "./entry.ts";
import { fileChanged, openContent, type OpenContent } from "./read-content.ts";
import type { IndexEntry } from "./layer-index.ts";
import { SegmentBuffer } from "./segment-buffer.ts";
import { cutAbove, pieceLength, startsSegment } from "./segment-rule.ts";
import { blockLength, bodyLength, encodeHeader, paddedLength } from "./write-header.ts";

/** What a tar is written from, and what is learnt on the way: the entries with digests and places, in the same order. */
export interface SegmentSource {
  readonly entries: readonly Entry[];
  readonly indexed: IndexEntry[];
}

type Drafted = { -readonly [Name in keyof IndexEntry]: IndexEntry[Name] };

/**
 * The tar of ordered entries, cut into segments that together are the tar and each stand on their own.
 * Every file is read once. Whoever is done with a segment's buffer may `recycle` it.
 * @throws LayerError `FILE_CHANGED` where a file is not what its entry says.
 */
export function* cutSegments(source: SegmentSource): Generator<SegmentBuffer> {
  let segment = SegmentBuffer.take(0);
  for (const entry of source.entries) {
    if (startsSegment(entry, segment.length)) segment = yield* cut(segment);
    segment.append(encodeHeader(entry));
    const tarOffset = segment.tarOffset + segment.length;
    if (entry.type !== "file") source.indexed.push(withoutOrigin(entry));
    else if (entry.size <= cutAbove) {
      source.indexed.push(Object.assign(withoutOrigin(entry), { digest: appendFile(segment, entry), tarOffset }));
    } else {
      const [last, digest] = yield* cutFile(segment, entry);
      source.indexed.push(Object.assign(withoutOrigin(entry), { digest, tarOffset }));
      segment = last;
    }
  }
  segment.appendZeros(2 * blockLength);
  yield segment;
}

function* cut(segment: SegmentBuffer): Generator<SegmentBuffer, SegmentBuffer> {
  const next = segment.tarOffset + segment.length;
  yield segment;
  return SegmentBuffer.take(next);
}

function appendFile(segment: SegmentBuffer, entry: Entry): Digest {
  const body = segment.extend(entry.size);
  if (entry.size > 0 || entry.content !== undefined) {
    using content = openContent(entry);
    content.fill(body);
    content.check();
  }
  segment.appendZeros(paddedLength(entry.size) - entry.size);
  return checkDigest(entry, `sha256:${hash("sha256", body, "hex")}`);
}

/** Cuts at multiples of the piece length within the file, and after it. */
function* cutFile(first: SegmentBuffer, entry: Entry): Generator<SegmentBuffer, [SegmentBuffer, Digest]> {
  using content = openContent(entry);
  const sum = createHash("sha256");
  let segment = first;
  for (let at = 0; at < entry.size; at += pieceLength) {
    appendPiece({ segment, content, sum }, Math.min(pieceLength, entry.size - at));
    if (at + pieceLength >= entry.size) segment.appendZeros(paddedLength(entry.size) - bodyLength(entry));
    segment = yield* cut(segment);
  }
  content.check();
  return [segment, checkDigest(entry, `sha256:${sum.digest("hex")}`)];
}

function appendPiece(
  to: {
    readonly segment: SegmentBuffer;
    readonly content: OpenContent;
    readonly sum: { update(bytes: Uint8Array): unknown };
  },
  length: number,
): void {
  const piece = to.segment.extend(length);
  to.content.fill(piece);
  to.sum.update(piece);
}

/** A cache key may rest on the digest that the entry came with: other bytes must not pass under it. */
function checkDigest(entry: Entry, digest: Digest): Digest {
  if (entry.digest !== undefined && entry.digest !== digest) throw fileChanged(entry, "its bytes changed before or");
  return digest;
}

/** Without what only says where it came from: the content, and what a scanned entry carries along. */
function withoutOrigin(entry: Entry): Drafted {
  const { path, type, mode, uid, gid, size, mtime } = entry;
  const kept: Drafted = { path, type, mode, uid, gid, size, mtime };
  if (entry.linkname !== undefined) kept.linkname = entry.linkname;
  if (entry.device !== undefined) kept.device = entry.device;
  if (entry.xattrs !== undefined) kept.xattrs = entry.xattrs;
  return kept;
}
