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

/** Slots as they go to another thread: thousands of small objects are made and sent at several times the cost. */
export interface PackedSlots {
  /** For each slot `entry`, `start`, `length`, `position`, `fileSize` or -1, and `whole` and `known` added where they are so. */
  readonly numbers: Float64Array;
  /** In the order of the slots, joined by NUL; empty for what has none. */
  readonly paths: string;
  /** For each slot the sha256 that is known of a whole file; zeros where none is. */
  readonly digests: Uint8Array;
}

/** Bytes of a sha256. */
export const digestLength = 32;

const numbersEach = 6;
const [whole, known] = [1, 2] as const;

/** Collects the slots of one segment after the other. */
export class SlotWriter {
  /** Kept for the next segment, whose slots come to about as many. */
  #numbers = new Float64Array(1024 * numbersEach);
  #paths: string[] = [];
  /** Of those slots that have one. */
  #digests: { readonly slot: number; readonly digest: Digest }[] = [];

  /** Adds the next slot of the segment. */
  add({ entry, start, length, path, position, fileSize, isWhole, digest }: Slot): void {
    const slot = this.#paths.length;
    const at = numbersEach * slot;
    if (at === this.#numbers.length) this.#grow();
    const numbers = this.#numbers;
    numbers[at] = entry;
    numbers[at + 1] = start;
    numbers[at + 2] = length;
    numbers[at + 3] = position;
    numbers[at + 4] = fileSize ?? -1;
    numbers[at + 5] = (isWhole ? whole : 0) + (digest === undefined ? 0 : known);
    if (isWhole && digest !== undefined) this.#digests.push({ slot, digest });
    this.#paths.push(path ?? "");
  }

  /** All slots of the segment; those that are added from now on are of the next one. */
  pack(): PackedSlots {
    const count = this.#paths.length;
    const digests = Buffer.alloc(digestLength * count);
    for (const { slot, digest } of this.#digests) digests.write(hexOf(digest), digestLength * slot, "hex");
    const packed = { numbers: this.#numbers.slice(0, numbersEach * count), paths: this.#paths.join("\0"), digests };
    this.#paths = [];
    this.#digests = [];
    return packed;
  }

  #grow(): void {
    const larger = new Float64Array(2 * this.#numbers.length);
    larger.set(this.#numbers);
    this.#numbers = larger;
  }
}

/** Reads packed slots by their number, from 0 to `count` - 1. */
export class SlotReader {
  readonly count: number;
  readonly #numbers: Float64Array;

  constructor({ numbers }: Pick<PackedSlots, "numbers">) {
    this.count = numbers.length / numbersEach;
    this.#numbers = numbers;
  }

  entry(slot: number): number {
    return this.#number(slot, 0);
  }

  start(slot: number): number {
    return this.#number(slot, 1);
  }

  length(slot: number): number {
    return this.#number(slot, 2);
  }

  position(slot: number): number {
    return this.#number(slot, 3);
  }

  fileSize(slot: number): number | undefined {
    const size = this.#number(slot, 4);
    return size < 0 ? undefined : size;
  }

  isWhole(slot: number): boolean {
    return (this.#number(slot, 5) & whole) !== 0;
  }

  /** Whether the digest of all bytes of the entry is known. */
  isKnown(slot: number): boolean {
    return (this.#number(slot, 5) & known) !== 0;
  }

  #number(slot: number, column: number): number {
    const number = slot < this.count ? this.#numbers[numbersEach * slot + column] : undefined;
    if (number === undefined) throw new RangeError(`There is no slot ${slot}`);
    return number;
  }
}
