/** What runs in a worker thread: see worker-pool.ts. */
import { parentPort } from "node:worker_threads";
import { doDigest, doSegment, type DigestWork, type SegmentDone, type SegmentWork } from "./segment-work.ts";

parentPort?.on("message", (work: SegmentWork | DigestWork) => {
  if (work.type === "digest") {
    parentPort?.postMessage(doDigest(work), []);
    return;
  }
  const done = doSegment(work);
  parentPort?.postMessage(done, transferable(done));
});

/** Buffers that move instead of being copied; a compressed segment may share memory with others, or be the tar itself. */
function transferable({ buffer, compressed }: SegmentDone): ArrayBuffer[] {
  const own = compressed?.buffer;
  const isAlone = own instanceof ArrayBuffer && own !== buffer && own.byteLength > 16 * 1024;
  return isAlone ? [buffer, own] : [buffer];
}
