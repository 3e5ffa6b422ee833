import { type Digest, hexOf } from "@varve/oci";

/** Where the bytes of one file, or a piece of it, go in a segment. */
export interface Slot {
  /** Of the segment's entry, among all of the layer. */
  readonly entry: number;
  /** In the segment. */
  readonly start: number;
  readonly length: number;
  /** A file of this machine; undefined where the bytes are in place already. */
  readonly path: string | undefined;
  /** Where the bytes start in the file. */
  readonly position: number;
  /** What the file's length must be; undefined where it may go on. */
  readonly fileSize: number | undefined;
  /** Whether these are all bytes of the entry. */
  readonly isWhole: boolean;
  /** Of all bytes of the entry, where it is known: it tells if these are the right ones. */
  readonly digest: Digest | undefined;
}

/** Slots as they go to another thread: thousands of small objects are sent at several times the cost. */
export interface PackedSlots {
  /** For each slot `start`, `length`, `position`, `fileSize` or -1, and `whole` and `known` added where they are so. */
  readonly numbers: Float64Array;
  /** In the order of the slots, joined by NUL; empty for what has none. */
  readonly paths: string;
  /** For each slot the sha256 that is known of a whole file; zeros where none is. */
  readonly digests: Uint8Array;
}

/** A slot on the other side. */
export interface UnpackedSlot extends Omit<Slot, "entry" | "digest"> {
  readonly isKnown: boolean;
}

/** Bytes of a sha256. */
export const digestLength = 32;

const numbersEach = 5;
const [whole, known] = [1, 2] as const;

/** Packs slots. */
export function packSlots(slots: readonly Slot[]): PackedSlots {
  const numbers = new Float64Array(numbersEach * slots.length);
  const digests = Buffer.alloc(digestLength * slots.length);
  let at = 0;
  for (const { start, length, position, fileSize, isWhole, digest } of slots) {
    if (isWhole && digest !== undefined) digests.write(hexOf(digest), digestLength * (at / numbersEach), "hex");
    numbers[at++] = start;
    numbers[at++] = length;
    numbers[at++] = position;
    numbers[at++] = fileSize ?? -1;
    numbers[at++] = (isWhole ? whole : 0) + (digest === undefined ? 0 : known);
  }
  return { numbers, paths: slots.map(({ path }) => path ?? "").join("\0"), digests };
}

/** The slots again. */
export function unpackSlots({ numbers, paths }: PackedSlots): readonly UnpackedSlot[] {
  const count = numbers.length / numbersEach;
  return count === 0 ? [] : paths.split("\0").map((path, slot) => unpackSlot(numbers, numbersEach * slot, path));
}

function unpackSlot(numbers: Float64Array, at: number, path: string): UnpackedSlot {
  const fileSize = numbers[at + 3] ?? -1;
  const flags = numbers[at + 4] ?? 0;
  return {
    start: numbers[at] ?? 0,
    length: numbers[at + 1] ?? 0,
    path: path === "" ? undefined : path,
    position: numbers[at + 2] ?? 0,
    fileSize: fileSize < 0 ? undefined : fileSize,
    isWhole: (flags & whole) !== 0,
    isKnown: (flags & known) !== 0,
  };
}
