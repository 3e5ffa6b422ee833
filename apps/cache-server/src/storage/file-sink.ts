import type { FileHandle } from "node:fs/promises";

/** Writes bytes that come one after the other, several at a time, while more are coming. */
export interface FileSink {
  /** Takes `chunk`, which must not change any more; waits where much is not written yet. */
  write(chunk: Uint8Array): Promise<void>;
  /** Settles when all is written. */
  end(): Promise<void>;
}

/** Bytes that may wait to be written. */
const CAPACITY = 256 * 1024;

/** A sink into `file`, from `position` on. */
export function createFileSink(file: FileHandle, position: number): FileSink {
  let waiting: Uint8Array[] = [];
  let size = 0;
  let next = position;
  let writing: Promise<void> | undefined;
  const writeWaiting = async (): Promise<void> => {
    while (waiting.length > 0) {
      const [chunks, bytes, at] = [waiting, size, next];
      waiting = [];
      size = 0;
      next += bytes;
      await writeAll(file, chunks, at);
    }
    writing = undefined;
  };
  return {
    async write(chunk) {
      waiting.push(chunk);
      size += chunk.length;
      writing ??= writeWaiting();
      writing.catch(() => undefined);
      if (size >= CAPACITY) await writing;
    },
    end: async () => writing,
  };
}

/** Writes all of `chunks` at `position`, however many bytes the file takes at a time. */
async function writeAll(file: FileHandle, chunks: readonly Uint8Array[], position: number): Promise<void> {
  let left = [...chunks];
  for (let at = position; left.length > 0;) {
    const { bytesWritten } = await file.writev(left, at);
    at += bytesWritten;
    left = dropBytes(left, bytesWritten);
  }
}

function dropBytes(chunks: readonly Uint8Array[], count: number): Uint8Array[] {
  let left = count;
  return chunks.flatMap((chunk) => {
    const dropped = Math.min(left, chunk.length);
    left -= dropped;
    return dropped === chunk.length ? [] : [chunk.subarray(dropped)];
  });
}
