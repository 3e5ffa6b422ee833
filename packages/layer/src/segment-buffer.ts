const firstLength = 1280 * 1024;
const keptBuffers = 8;
const spare: Buffer<ArrayBuffer>[] = [];

/** A growing run of tar bytes. Buffers are reused: fresh pages cost more than the bytes that are written to them. */
export class SegmentBuffer {
  /** Where the segment starts in the tar. */
  readonly tarOffset: number;
  length = 0;
  #buffer: Buffer<ArrayBuffer>;

  private constructor(tarOffset: number, buffer: Buffer<ArrayBuffer>) {
    this.tarOffset = tarOffset;
    this.#buffer = buffer;
  }

  /** An empty segment that starts at `tarOffset`. */
  static take(tarOffset: number): SegmentBuffer {
    return new SegmentBuffer(tarOffset, spare.pop() ?? Buffer.allocUnsafeSlow(firstLength));
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(0, this.length);
  }

  append(bytes: Uint8Array): void {
    this.extend(bytes.length).set(bytes);
  }

  appendZeros(length: number): void {
    this.extend(length).fill(0);
  }

  /** Lengthens the segment and gives the new part, to be filled before the next call. */
  extend(length: number): Buffer {
    const start = this.length;
    this.length += length;
    if (this.length > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(2 * this.length);
      this.#buffer.copy(larger, 0, 0, start);
      this.#buffer = larger;
    }
    return this.#buffer.subarray(start, this.length);
  }

  /** Gives the buffer back; the segment is not to be used any more. */
  recycle(): void {
    if (spare.length < keptBuffers && this.#buffer.length <= 4 * firstLength) spare.push(this.#buffer);
    this.#buffer = Buffer.alloc(0);
    this.length = 0;
  }
}
