import { cutAbove } from "./segment-rule.ts";

/** No segment but one with huge headers is longer; pages that are never written to take no memory. */
const usualLength = cutAbove + 256 * 1024;
const keptBuffers = 16;
const spare: SharedArrayBuffer[] = [];

/**
 * A growing run of tar bytes, which threads share: nothing of it has to be copied or collected. Memory is reused: fresh
 * pages cost more than the bytes that are written to them.
 */
export class SegmentBuffer {
  /** Where the segment starts in the tar. */
  readonly tarOffset: number;
  length = 0;
  #bytes: Buffer<SharedArrayBuffer>;

  private constructor(tarOffset: number, memory: SharedArrayBuffer) {
    this.tarOffset = tarOffset;
    this.#bytes = Buffer.from(memory);
  }

  /** An empty segment that starts at `tarOffset`. */
  static take(tarOffset: number): SegmentBuffer {
    return new SegmentBuffer(tarOffset, spare.pop() ?? new SharedArrayBuffer(usualLength));
  }

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  /** The segment and what is behind it, in which anything stands; another one after `extend`. */
  get room(): Buffer<SharedArrayBuffer> {
    return this.#bytes;
  }

  get memory(): SharedArrayBuffer {
    return this.#bytes.buffer;
  }

  /** Adds bytes and gives where they start. */
  append(bytes: Uint8Array): number {
    const start = this.extend(bytes.length);
    this.#bytes.set(bytes, start);
    return start;
  }

  /** Lengthens the segment and gives where in `room` the new part starts; it is to be filled. */
  extend(length: number): number {
    const start = this.length;
    this.length += length;
    if (this.length > this.#bytes.length) {
      const before = this.#bytes;
      this.#bytes = Buffer.from(new SharedArrayBuffer(2 * this.length));
      before.copy(this.#bytes, 0, 0, start);
    }
    return start;
  }

  /** Gives the memory back; the segment is not to be used any more. */
  recycle(): void {
    if (spare.length < keptBuffers && this.#bytes.length === usualLength) spare.push(this.memory);
    this.length = 0;
  }
}
