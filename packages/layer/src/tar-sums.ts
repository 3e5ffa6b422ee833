import { createHash, type Hash } from "node:crypto";
import { crc32 } from "node:zlib";
import type { Digest } from "@varve/oci";
import type { SegmentBuffer } from "./segment-buffer.ts";

/** What is known of a tar by all its bytes. */
export interface TarSums {
  readonly diffId: Digest;
  /** CRC-32 as gzip has it; 0 where nobody needs it. */
  readonly crc: number;
  /** Bytes. */
  readonly length: number;
}

/** Sums of a tar whose segments come one after the other. */
export interface TarSummation {
  /** Takes the next segment; it is done with when the promise settles. */
  add(buffer: SegmentBuffer): Promise<void>;
  /** The sums of all; nothing can be added any more. */
  finish(): Promise<TarSums>;
  /** Forgets what was added, where nobody wants the sums. */
  drop(): void;
}

/** Which sums are wanted besides the diffId. */
export interface WantedSums {
  readonly needsCrc: boolean;
}

/** Adds bytes up. */
class TarSum {
  readonly #needsCrc: boolean;
  readonly #hash: Hash = createHash("sha256");
  #crc = 0;
  #length = 0;

  constructor({ needsCrc }: WantedSums) {
    this.#needsCrc = needsCrc;
  }

  add(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    if (this.#needsCrc) this.#crc = crc32(bytes, this.#crc);
    this.#length += bytes.length;
  }

  finish(): TarSums {
    return { diffId: `sha256:${this.#hash.digest("hex")}`, crc: this.#crc, length: this.#length };
  }
}

/** A part of that work for a thread, which keeps the sums of each tar by its number. */
export interface SumWork extends WantedSums {
  readonly tar: number;
  /** Undefined at the end, when the sums are asked for. */
  readonly memory: SharedArrayBuffer | undefined;
  readonly length: number;
}

const sums = new Map<number, TarSum>();

/** Does the part. */
export function doSum({ tar, memory, length, needsCrc }: SumWork): TarSums | undefined {
  const sum = sums.get(tar) ?? new TarSum({ needsCrc });
  sums.set(tar, sum);
  if (memory !== undefined) {
    sum.add(new Uint8Array(memory, 0, length));
    return undefined;
  }
  sums.delete(tar);
  return sum.finish();
}

/** Sums of a tar, made in this thread. */
export function sumHere(wanted: WantedSums): TarSummation {
  const sum = new TarSum(wanted);
  return {
    async add({ bytes }) {
      sum.add(bytes);
    },
    finish: async () => sum.finish(),
    drop: () => undefined,
  };
}
