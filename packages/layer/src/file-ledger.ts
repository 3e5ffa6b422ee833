import { createHash, type Hash } from "node:crypto";
import type { Digest } from "@varve/oci";
import type { Entry } from "./entry.ts";
import type { FilePlace } from "./index-codec.ts";
import { comparePaths } from "./order-entries.ts";
import { explainProblem, fileChanged } from "./read-content.ts";
import type { SegmentDone, SlotProblem } from "./segment-work.ts";
import { digestLength, type PackedSlots, SlotReader } from "./slots.ts";

/** A segment whose slots were filled. */
export interface FilledSegment {
  readonly bytes: Uint8Array;
  readonly slots: PackedSlots;
  readonly done: Pick<SegmentDone, "digests" | "states">;
}

/** An entry of which not all is known yet. */
interface Waiting {
  readonly entry: Entry;
  /** Of a file. */
  digest: Digest | undefined;
  tarOffset: number | undefined;
}

interface OpenFile {
  readonly sum: Hash;
  readonly state: string | undefined;
  length: number;
}

/** Told of each entry of a layer, in order, once all is known of it. */
export type OnKnown = (entry: Entry, place: FilePlace) => void;

/** Collects what is learnt of a layer's files while it is written: where they are in the tar, and their digests. */
export class FileLedger {
  readonly #onKnown: OnKnown;
  /** In order. */
  readonly #waiting: Waiting[] = [];
  /** Entries before these. */
  #known = 0;
  #last = "";
  /** Files that came in part so far. */
  readonly #open = new Map<number, OpenFile>();

  constructor(onKnown: OnKnown) {
    this.#onKnown = onKnown;
  }

  /** Takes the next entry. @throws Error where it does not stand in the order of a layer. */
  record(entry: Entry): void {
    if (comparePaths(this.#last, entry.path) > 0) throw new Error(`Cannot pack "${entry.path}" after "${this.#last}"`);
    this.#last = entry.path;
    this.#waiting.push({ entry, digest: undefined, tarOffset: undefined });
  }

  /** Takes where the bytes of the file at `position` among the entries start in the tar. */
  place(position: number, tarOffset: number): void {
    this.#at(position).tarOffset = tarOffset;
  }

  /**
   * Takes the segments in the order of the tar.
   * @throws LayerError where a file changed between its pieces, or has another digest than its entry.
   */
  enter({ bytes, slots, done }: FilledSegment): void {
    const digests = Buffer.from(done.digests.buffer, done.digests.byteOffset, done.digests.length);
    const reader = new SlotReader(slots);
    for (let slot = 0; slot < reader.count; slot++) {
      const key = reader.entry(slot);
      const file = this.#at(key);
      if (reader.isWhole(slot)) {
        const hex = digests.toString("hex", digestLength * slot, digestLength * (slot + 1));
        file.digest = checkDigest(file.entry, `sha256:${hex}`);
        continue;
      }
      const start = reader.start(slot);
      const piece = bytes.subarray(start, start + reader.length(slot));
      const digest = this.#enterPiece(file.entry, { key, piece, state: done.states.get(slot) });
      if (digest !== undefined) file.digest = checkDigest(file.entry, digest);
    }
    this.#tell();
  }

  /** The error for a slot that could not be filled. */
  explain(slots: PackedSlots, problem: SlotProblem): Error {
    return explainProblem(this.#at(new SlotReader(slots).entry(problem.slot)).entry, problem);
  }

  #at(position: number): Waiting {
    const waiting = this.#waiting[position - this.#known];
    if (waiting === undefined) throw new RangeError(`There is no entry ${position}`);
    return waiting;
  }

  #tell(): void {
    let known = 0;
    for (const each of this.#waiting) {
      if (each.entry.type === "file" && each.digest === undefined) break;
      this.#onKnown(each.entry, each);
      known += 1;
    }
    this.#waiting.splice(0, known);
    this.#known += known;
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
}

/** A cache key may rest on the digest that the entry came with: other bytes must not pass under it. */
function checkDigest(entry: Entry, digest: Digest): Digest {
  if (entry.digest !== undefined && entry.digest !== digest) throw fileChanged(entry, "its bytes changed before or");
  // The text that the entry holds already serves once more.
  return entry.digest ?? digest;
}
