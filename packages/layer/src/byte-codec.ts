import type { Digest } from "@varve/oci";

/** Bytes as node hands them out. */
export type Bytes = Buffer;

/** Bytes of a piece, or of the number, digest or text that is longer. */
const pieceLength = 64 * 1024;

/** Collects numbers, digests and bytes. Numbers: 7 bits a byte, the lowest first, as in LEB128. */
export class ByteWriter {
  /** Full ones: a large buffer that grows is held twice, and what it was before longer than that. */
  readonly #pieces: Bytes[] = [];
  #buffer: Bytes = Buffer.alloc(0);
  #length = 0;

  /** 0 to 2^53 - 1. */
  number(value: number): void {
    this.#reserve(8);
    let rest = value;
    while (rest > 127) {
      this.#buffer[this.#length++] = (rest % 128) + 128;
      rest = Math.floor(rest / 128);
    }
    this.#buffer[this.#length++] = rest;
  }

  /** -2^52 to 2^52 - 1; the sign becomes the lowest bit. */
  signed(value: number): void {
    this.number(value < 0 ? -2 * value - 1 : 2 * value);
  }

  /** The 32 bytes of a sha256. */
  digest(value: Digest): void {
    this.#reserve(32);
    if (this.#buffer.write(value.slice(7), this.#length, 32, "hex") !== 32)
      throw new RangeError(`Not a digest: ${value}`);
    this.#length += 32;
  }

  /** Behind their length. */
  bytes(value: Uint8Array): void {
    this.number(value.length);
    this.#reserve(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }

  /** As UTF-8, nothing before it: whoever reads it knows how long it is. */
  text(value: string): void {
    this.#reserve(3 * value.length);
    this.#length += this.#buffer.write(value, this.#length);
  }

  /** All of it, in pieces. */
  take(): readonly Bytes[] {
    return [...this.#pieces, this.#buffer.subarray(0, this.#length)];
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#buffer.length) return;
    if (this.#length > 0) this.#pieces.push(this.#buffer.subarray(0, this.#length));
    this.#buffer = Buffer.allocUnsafe(Math.max(pieceLength, more));
    this.#length = 0;
  }
}

/** Reads what a ByteWriter wrote. Everything throws RangeError where the bytes end early or are out of range. */
export class ByteReader {
  readonly #buffer: Bytes;
  #at = 0;

  constructor(buffer: Bytes) {
    this.#buffer = buffer;
  }

  number(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.#buffer[this.#at++];
      if (byte === undefined) throw new RangeError("it ends early");
      value += (byte & 127) * scale;
      if (byte < 128) break;
      scale *= 128;
      if (scale > 2 ** 49) throw new RangeError("a number is too large");
    }
    if (value > Number.MAX_SAFE_INTEGER) throw new RangeError("a number is too large");
    return value;
  }

  signed(): number {
    const value = this.number();
    return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
  }

  /** A number of things, of at least `least` bytes each, that are still to come. */
  count(least: number): number {
    const value = this.number();
    if (value > 1 + (this.#buffer.length - this.#at) / least) throw new RangeError("it counts more than it holds");
    return value;
  }

  digest(): Digest {
    return `sha256:${this.#slice(32).toString("hex")}`;
  }

  bytes(): Bytes {
    return this.#slice(this.number());
  }

  /** The next `length` bytes as one text, to be handed out in parts by their UTF-16 lengths. */
  texts(length: number): { next(units: number): string; end(): void } {
    const text = this.#slice(length).toString();
    let at = 0;
    return {
      next: (units) => {
        at += units;
        if (at > text.length) throw new RangeError("a text ends early");
        return text.slice(at - units, at);
      },
      end: () => {
        if (at !== text.length) throw new RangeError("a text goes on");
      },
    };
  }

  end(): void {
    if (this.#at !== this.#buffer.length) throw new RangeError("it goes on after its end");
  }

  #slice(length: number): Bytes {
    const start = this.#at;
    this.#at += length;
    if (this.#at > this.#buffer.length) throw new RangeError("it ends early");
    return this.#buffer.subarray(start, this.#at);
  }
}
