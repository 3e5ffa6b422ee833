/** What runs in a worker thread: see worker-pool.ts. */
import { parentPort } from "node:worker_threads";
import { doCopy } from "./copy-work.ts";
import { doDigest, type FilesToDigest } from "./digest-work.ts";
import { doSegment } from "./segment-work.ts";
import { doSum } from "./tar-sums.ts";
import type { DoneMessage, WorkMessage } from "./worker-pool.ts";

parentPort?.on("message", (work: WorkMessage) => parentPort?.postMessage(doWork(work), []));

function doWork(work: WorkMessage): DoneMessage {
  if (typeof work === "string") return JSON.stringify(doDigest(JSON.parse(work) as FilesToDigest));
  if ("copy" in work) return doCopy(work);
  return "tar" in work ? doSum(work) : doSegment(work);
}
