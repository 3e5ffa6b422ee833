import type { Digest } from "@varve/oci";
import { copyInWorker } from "./worker-pool.ts";

/** A file that is to stand in another one. */
export interface FileCopy {
  readonly from: string;
  /** A file that is there. */
  readonly into: string;
  /** Where it is to start there: bytes. */
  readonly target: number;
  /** Bytes of `from`. */
  readonly length: number;
}

/** A signal is heeded between two pieces of so many bytes. */
const pieceLength = 16 * 1024 * 1024;

/**
 * Copies a file into another one, in a worker thread: this one is free for other work meanwhile. Gives the sha256 of
 * what was copied: the caller verifies it.
 * @throws the error of the system, with `code` and `syscall`; the signal's reason.
 */
export async function copyFile({ from, into, target, length }: FileCopy, signal?: AbortSignal): Promise<Digest> {
  const copying = copyInWorker();
  try {
    for (let start = 0; start < length; start += pieceLength) {
      signal?.throwIfAborted();
      const piece = { from, into, start, target: target + start, length: Math.min(pieceLength, length - start) };
      const { failure } = await copying.add(piece);
      if (failure !== undefined) throw Object.assign(new Error(failure.message), failure);
    }
  } catch (error) {
    copying.drop();
    throw error;
  }
  return copying.finish();
}
