import { type DigestedPath, doDigest, type FilesToDigest } from "./digest-work.ts";
import { digestInWorker } from "./worker-pool.ts";

/** Less than this is digested here: starting threads takes longer. */
const smallCount = 300;
const smallBytes = 8 * 1024 * 1024;
/** What a thread is given at once; a file counts as some bytes by itself. */
const batchBytes = 16 * 1024 * 1024;
const fileWeight = 32 * 1024;

/** The sha256 of files of this machine, in order, read by several threads where they are many. Each says what went wrong with it. */
export async function digestPaths(files: FilesToDigest): Promise<readonly DigestedPath[]> {
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  if (files.length < smallCount && bytes < smallBytes) return doDigest(files);
  return (await Promise.all(cutBatches(files).map((batch) => digestInWorker(batch)))).flat();
}

function cutBatches(files: FilesToDigest): readonly FilesToDigest[] {
  const batches: FilesToDigest[number][][] = [];
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
