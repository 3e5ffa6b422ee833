/** Remembers the last lines of a process' output. */
export interface OutputTail {
  add(chunk: Uint8Array): void;
  /** At most 20, oldest first. */
  lines(): readonly string[];
}

const LINES = 20;
const BYTES = 16 * 1024;

/** An empty tail. Keeps 16 KiB at most. */
export function createOutputTail(): OutputTail {
  let kept: Buffer = Buffer.alloc(0);
  return {
    add(chunk) {
      kept = Buffer.concat([kept, chunk]).subarray(-BYTES);
    },
    lines: () =>
      kept
        .toString("utf8")
        .split(/\r?\n/)
        .filter((line) => line.trim() !== "")
        .slice(-LINES),
  };
}
