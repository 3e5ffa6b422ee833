import type { Digest } from "@varve/oci";
import type { CopyDone } from "./copy-work.ts";
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
/** Pieces that the thread has before it, so that it never waits for this one. */
const mostAhead = 4;

/**
 * Copies a file into another one, in a worker thread: this one is free for other work meanwhile. Gives the sha256 of
 * what was copied: the caller verifies it.
 * @throws the error of the system, with `code` and `syscall`; the signal's reason.
 */
export async function copyFile({ from, into, target, length }: FileCopy, signal?: AbortSignal): Promise<Digest> {
  const copying = copyInWorker();
  const ahead: Promise<CopyDone>[] = [];
  try {
    for (let start = 0; start < length; start += pieceLength) {
      signal?.throwIfAborted();
      const piece = { from, into, start, target: target + start, length: Math.min(pieceLength, length - start) };
      const done = copying.add(piece);
      done.catch(() => undefined);
      ahead.push(done);
      if (ahead.length > mostAhead) await finishFirst(ahead);
    }
    while (ahead.length > 0) await finishFirst(ahead);
  } catch (error) {
    await Promise.allSettled(ahead);
    copying.drop();
    throw error;
  }
  return copying.finish();
}

async function finishFirst(ahead: Promise<CopyDone>[]): Promise<void> {
  const failure = (await ahead.shift())?.failure;
  if (failure !== undefined) throw Object.assign(new Error(failure.message), failure);
}
