import { createHash, type Hash } from "node:crypto";
import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import type { Digest } from "@varve/oci";

/** A piece of a file to be written into another one; the pieces of one copy come in order. */
export interface CopyWork {
  readonly copy: number;
  /** Undefined at the end, when the digest of all pieces is asked for. */
  readonly piece: CopyPiece | undefined;
}

export interface CopyPiece {
  readonly from: string;
  /** A file that is there. */
  readonly into: string;
  /** Where the piece starts in each. */
  readonly start: number;
  readonly target: number;
  readonly length: number;
}

/** What came of a piece, or of all: how the system failed, or, at the end, the sha256 of what was copied. */
export interface CopyDone {
  readonly failure?: {
    readonly code: string | undefined;
    readonly syscall: string | undefined;
    readonly message: string;
  };
  readonly digest?: Digest;
}

const bufferLength = 256 * 1024;
const sums = new Map<number, Hash>();

/** Copies the piece, as much of it as is there. */
export function doCopy({ copy, piece }: CopyWork): CopyDone {
  const sum = sums.get(copy) ?? createHash("sha256");
  sums.set(copy, sum);
  if (piece === undefined) {
    sums.delete(copy);
    return { digest: `sha256:${sum.digest("hex")}` };
  }
  try {
    copyPiece(piece, sum);
    return {};
  } catch (error) {
    const { code, syscall, message } = error as NodeJS.ErrnoException;
    return { failure: { code, syscall, message } };
  }
}

function copyPiece({ from, into, start, target, length }: CopyPiece, sum: Hash): void {
  using source = openFile(from, constants.O_RDONLY);
  using sink = openFile(into, constants.O_WRONLY);
  const buffer = Buffer.allocUnsafe(bufferLength);
  for (let done = 0; done < length;) {
    const count = readSync(source.file, buffer, 0, Math.min(bufferLength, length - done), start + done);
    if (count === 0) return;
    const bytes = buffer.subarray(0, count);
    sum.update(bytes);
    for (let written = 0; written < count;)
      written += writeSync(sink.file, bytes, written, count - written, target + done + written);
    done += count;
  }
}

function openFile(path: string, flags: number): Disposable & { readonly file: number } {
  const file = openSync(path, flags);
  return { file, [Symbol.dispose]: () => closeSync(file) };
}
