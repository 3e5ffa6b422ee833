const firstLength = 1280 * 1024;
const keptBuffers = 8;
const spare: ArrayBuffer[] = [];

/** A growing run of tar bytes. Buffers are reused: fresh pages cost more than the bytes that are written to them. */
export class SegmentBuffer {
  /** Where the segment starts in the tar. */
  readonly tarOffset: number;
  length = 0;
  #memory: ArrayBuffer;
  #bytes: Buffer<ArrayBuffer>;

  private constructor(tarOffset: number, memory: ArrayBuffer) {
    this.tarOffset = tarOffset;
    this.#memory = memory;
    this.#bytes = Buffer.from(memory);
  }

  /** An empty segment that starts at `tarOffset`. */
  static take(tarOffset: number): SegmentBuffer {
    return new SegmentBuffer(tarOffset, spare.pop() ?? newMemory(firstLength));
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.length);
  }

  /** What the bytes lie in; a worker that it moves to gives it back by `restore`. */
  get memory(): ArrayBuffer {
    return this.#memory;
  }

  restore(memory: ArrayBuffer): void {
    this.#memory = memory;
    this.#bytes = Buffer.from(memory);
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
    if (this.length > this.#bytes.length) {
      const before = this.#bytes;
      this.restore(newMemory(2 * this.length));
      before.copy(this.#bytes, 0, 0, start);
    }
    return this.#bytes.subarray(start, this.length);
  }

  /** Gives the buffer back; the segment is not to be used any more. */
  recycle(): void {
    if (spare.length < keptBuffers && this.#memory.byteLength <= 4 * firstLength) spare.push(this.#memory);
    this.length = 0;
  }
}

/** Not zeroed. */
function newMemory(length: number): ArrayBuffer {
  return Buffer.allocUnsafeSlow(length).buffer;
}
