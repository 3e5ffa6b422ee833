import { type DigestWork, doDigest, type FilledSlot } from "./segment-work.ts";
import { inWorker } from "./worker-pool.ts";

/** A file that was digested as it stood: `state` is its inode, size, mtime and ctime, nanoseconds, joined by spaces. */
export type DigestedPath = FilledSlot;

type Files = DigestWork["files"];

/** Less than this is digested here: starting threads takes longer. */
const smallCount = 300;
const smallBytes = 8 * 1024 * 1024;
/** What a thread is given at once; a file counts as some bytes by itself. */
const batchBytes = 16 * 1024 * 1024;
const fileWeight = 32 * 1024;

/** The sha256 of files of this machine, in order, read by several threads where they are many. Each says what went wrong with it. */
export async function digestPaths(files: Files): Promise<readonly DigestedPath[]> {
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  if (files.length < smallCount && bytes < smallBytes) return doDigest({ type: "digest", files }).slots;
  const batches = cutBatches(files).map((batch) => inWorker({ type: "digest", files: batch }));
  return (await Promise.all(batches)).flatMap(({ slots }) => slots);
}

function cutBatches(files: Files): readonly Files[] {
  const batches: Files[number][][] = [];
  let weight = Number.POSITIVE_INFINITY;
  for (const file of files) {
    if (weight > batchBytes) {
      batches.push([]);
      weight = 0;
    }
    batches.at(-1)?.push(file);
    weight += file.size + fileWeight;
  }
  return batches;
}
