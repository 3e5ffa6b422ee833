/** What runs in a worker thread: see worker-pool.ts. */
import { parentPort } from "node:worker_threads";
import { doCopy } from "./copy-work.ts";
import { doDigest, type FilesToDigest } from "./digest-work.ts";
import { doSegment, isMovable } from "./segment-work.ts";
import { doSum } from "./tar-sums.ts";
import type { DoneMessage, WorkMessage } from "./worker-pool.ts";

parentPort?.on("message", (work: WorkMessage) => {
  const done = doWork(work);
  parentPort?.postMessage(done, movedWith(done));
});

/** What is handed over: it would be copied otherwise. */
function movedWith(done: DoneMessage): ArrayBuffer[] {
  if (typeof done !== "object" || !("compressed" in done)) return [];
  const memory = done.compressed.bytes?.buffer;
  return memory !== undefined && isMovable(memory) ? [memory] : [];
}

function doWork(work: WorkMessage): DoneMessage {
  if (typeof work === "string") return JSON.stringify(doDigest(JSON.parse(work) as FilesToDigest));
  if ("copy" in work) return doCopy(work);
  return "tar" in work ? doSum(work) : doSegment(work);
}
