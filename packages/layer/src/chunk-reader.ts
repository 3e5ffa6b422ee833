import { corrupt } from "./read-header.ts";

/** Reads a stream of chunks by lengths. One reader at a time. */
export class ChunkReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(content: AsyncIterable<Uint8Array>) {
    this.#source = content[Symbol.asyncIterator]();
  }

  /** The next bytes without taking them: `length` of them, fewer at the end, undefined after it. */
  async peek(length: number): Promise<Buffer | undefined> {
    while (this.#rest.length < length) {
      const chunk = await this.#pull();
      if (chunk === undefined) break;
      this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    }
    return this.#rest.length === 0 ? undefined : this.#rest.subarray(0, length);
  }

  /** Takes exactly `length` bytes. @throws LayerError `ARCHIVE_CORRUPT` where there are fewer. */
  async *take(length: number): AsyncGenerator<Buffer> {
    let left = length;
    while (left > 0) {
      const chunk = this.#rest.length > 0 ? this.#rest : await this.#pull();
      if (chunk === undefined) throw corrupt("it ends early");
      const part = chunk.subarray(0, left);
      this.#rest = chunk.subarray(part.length);
      left -= part.length;
      yield part;
    }
  }

  /** Takes all that is left. */
  async *chunks(): AsyncGenerator<Buffer> {
    if (this.#rest.length > 0) yield this.#rest;
    this.#rest = Buffer.alloc(0);
    for (let chunk = await this.#pull(); chunk !== undefined; chunk = await this.#pull()) yield chunk;
  }

  /** Lets go of the source. */
  async close(): Promise<void> {
    await this.#source.return?.();
  }

  async #pull(): Promise<Buffer | undefined> {
    const { value, done } = await this.#source.next();
    if (done === true) return undefined;
    return Buffer.from(value.buffer, value.byteOffset, value.length);
  }
}
