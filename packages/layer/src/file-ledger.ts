import { createHash, type Hash } from "node:crypto";
import type { Digest } from "@varve/oci";
import type { Entry } from "./entry.ts";
import type { IndexEntry } from "./layer-index.ts";
import { comparePaths } from "./order-entries.ts";
import { explainProblem, fileChanged } from "./read-content.ts";
import type { SegmentDone, SlotProblem } from "./segment-work.ts";
import { digestLength, type Slot } from "./slots.ts";

/** A segment whose slots were filled. */
export interface FilledSegment {
  readonly bytes: Uint8Array;
  readonly slots: readonly Slot[];
  readonly done: Pick<SegmentDone, "digests" | "states">;
}

type Drafted = { -readonly [Name in keyof IndexEntry]: IndexEntry[Name] };

interface OpenFile {
  readonly sum: Hash;
  readonly state: string | undefined;
  length: number;
}

/** Collects what is learnt of a layer's files while it is written: where they are in the tar, and their digests. */
export class FileLedger {
  readonly #entries: Entry[] = [];
  /** By position; for files. */
  readonly #digests: (Digest | undefined)[] = [];
  readonly #places: number[] = [];
  /** Files that came in part so far. */
  readonly #open = new Map<number, OpenFile>();

  /** Gives entries on, and keeps them. @throws Error where one does not stand in the order of a layer. */
  *record(entries: Iterable<Entry>): Generator<Entry> {
    let before = "";
    for (const entry of entries) {
      if (comparePaths(before, entry.path) > 0) throw new Error(`Cannot pack "${entry.path}" after "${before}"`);
      before = entry.path;
      this.#entries.push(entry);
      this.#places.push(0);
      yield entry;
    }
  }

  place(position: number, tarOffset: number): void {
    this.#places[position] = tarOffset;
  }

  /**
   * Takes the segments in the order of the tar.
   * @throws LayerError where a file changed between its pieces, or has another digest than its entry.
   */
  enter({ bytes, slots, done }: FilledSegment): void {
    const digests = Buffer.from(done.digests.buffer, done.digests.byteOffset, done.digests.length);
    for (const [position, slot] of slots.entries()) {
      const entry = this.#entryOf(slot);
      const digest: Digest = `sha256:${digests.toString("hex", digestLength * position, digestLength * (position + 1))}`;
      const piece = bytes.subarray(slot.start, slot.start + slot.length);
      const whole = slot.isWhole
        ? digest
        : this.#enterPiece(entry, { key: slot.entry, piece, state: done.states.get(position) });
      if (whole !== undefined) this.#digests[slot.entry] = checkDigest(entry, whole);
    }
  }

  /** The error for a slot that could not be filled. */
  explain(slots: readonly Slot[], problem: SlotProblem): Error {
    const slot = slots[problem.slot];
    if (slot === undefined) throw new RangeError(`There is no slot ${problem.slot}`);
    return explainProblem(this.#entryOf(slot), problem);
  }

  #entryOf({ entry: position }: Slot): Entry {
    const entry = this.#entries[position];
    if (entry === undefined) throw new RangeError(`There is no entry ${position}`);
    return entry;
  }

  /** The digest of the file that this piece completes. */
  #enterPiece(
    entry: Entry,
    { key, piece, state }: { readonly key: number; readonly piece: Uint8Array; readonly state: string | undefined },
  ): Digest | undefined {
    const file: OpenFile = this.#open.get(key) ?? { sum: createHash("sha256"), state, length: 0 };
    this.#open.set(key, file);
    if (file.state !== state) throw fileChanged(entry, "it was written to");
    file.sum.update(piece);
    file.length += piece.length;
    if (file.length < entry.size) return undefined;
    this.#open.delete(key);
    return `sha256:${file.sum.digest("hex")}`;
  }

  /** The entries as a layer index has them. */
  close(): readonly IndexEntry[] {
    return this.#entries.map((entry, position) => {
      const digest = this.#digests[position];
      return digest === undefined ? withoutOrigin(entry) : withPlace(entry, digest, this.#places[position]!);
    });
  }
}

/** A cache key may rest on the digest that the entry came with: other bytes must not pass under it. */
function checkDigest(entry: Entry, digest: Digest): Digest {
  if (entry.digest !== undefined && entry.digest !== digest) throw fileChanged(entry, "its bytes changed before or");
  // The text that the entry holds already serves once more.
  return entry.digest ?? digest;
}

/** All in one literal: what is added to an object later takes an array of its own. */
function withPlace(entry: Entry, digest: Digest, tarOffset: number): IndexEntry {
  const { path, type, mode, uid, gid, size, mtime, xattrs } = entry;
  const placed = { path, type, mode, uid, gid, size, mtime, digest, tarOffset };
  return xattrs === undefined ? placed : { ...placed, xattrs };
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
