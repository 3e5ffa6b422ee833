import type { Entry } from "./entry.ts";
import { checkBytes, contentMissing } from "./read-content.ts";
import { SegmentBuffer } from "./segment-buffer.ts";
import { cutAbove, pieceLength, startsSegment } from "./segment-rule.ts";
import { type PackedSlots, SlotWriter } from "./slots.ts";
import { blockLength, appendHeader, paddedLength, zerosOf } from "./write-header.ts";

/** A run of a tar: headers, padding and bytes from memory are in place, room is left for what is still to be read. */
export interface DraftSegment {
  readonly buffer: SegmentBuffer;
  readonly slots: PackedSlots;
}

/** Told of the entries. */
export interface CutFollower {
  /** Each entry, before anything is done with it. */
  record(entry: Entry): void;
  /** Where the bytes of the file at `position` among the entries start in the tar. */
  place(position: number, tarOffset: number): void;
}

interface Draft {
  readonly buffer: SegmentBuffer;
  readonly slots: SlotWriter;
}

/**
 * The tar of ordered entries, which come in one or more parts, cut into segments that together are the tar and each stand on their own. Reads no file.
 * Whoever is done with a segment's buffer may `recycle` it.
 * @throws LayerError `SOURCE_MISSING`, `FILE_CHANGED` where bytes in memory are not what the entry says.
 */
export function* cutSegments(parts: Iterable<Iterable<Entry>>, follower: CutFollower): Generator<DraftSegment> {
  let draft: Draft = { buffer: SegmentBuffer.take(0), slots: new SlotWriter() };
  let position = -1;
  for (const entries of parts) {
    for (const entry of entries) {
      position += 1;
      follower.record(entry);
      if (startsSegment(entry, draft.buffer.length)) draft = yield* cut(draft);
      appendHeader(draft.buffer, entry);
      if (entry.type !== "file") continue;
      follower.place(position, draft.buffer.tarOffset + draft.buffer.length);
      if (entry.size <= cutAbove) addFile(draft, entry, position);
      else draft = yield* cutFile(draft, entry, position);
    }
  }
  draft.buffer.append(zerosOf(2 * blockLength));
  yield { buffer: draft.buffer, slots: draft.slots.pack() };
}

function* cut({ buffer, slots }: Draft): Generator<DraftSegment, Draft> {
  const next = buffer.tarOffset + buffer.length;
  yield { buffer, slots: slots.pack() };
  return { buffer: SegmentBuffer.take(next), slots };
}

function addFile(draft: Draft, entry: Entry, position: number): void {
  addSlot(draft, entry, { position, at: 0, length: entry.size });
  pad(draft, entry);
}

/** Cuts at multiples of the piece length within the file, and after it. */
function* cutFile(first: Draft, entry: Entry, position: number): Generator<DraftSegment, Draft> {
  let draft = first;
  for (let at = 0; at < entry.size; at += pieceLength) {
    addSlot(draft, entry, { position, at, length: Math.min(pieceLength, entry.size - at) });
    if (at + pieceLength >= entry.size) pad(draft, entry);
    draft = yield* cut(draft);
  }
  return draft;
}

/** Fills the last block of a file. */
function pad({ buffer }: Draft, { size }: Entry): void {
  buffer.append(zerosOf(paddedLength(size) - size));
}

interface Piece {
  readonly position: number;
  /** Where it starts in the entry's bytes. */
  readonly at: number;
  readonly length: number;
}

function addSlot({ buffer, slots }: Draft, entry: Entry, { position, at, length }: Piece): void {
  const { content, size, digest } = entry;
  if (content === undefined && size > 0) throw contentMissing(entry);
  const start = buffer.extend(length);
  if (content !== undefined && "bytes" in content)
    buffer.room.set(checkBytes(entry, content.bytes).subarray(at, at + length), start);
  const file = content !== undefined && "path" in content ? content : undefined;
  slots.add({
    entry: position,
    start,
    length,
    path: file?.path,
    position: (file?.offset ?? 0) + at,
    fileSize: file === undefined || file.offset !== undefined ? undefined : size,
    isWhole: length === size,
    digest,
  });
}
