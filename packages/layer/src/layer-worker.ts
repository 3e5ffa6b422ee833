/** What runs in a worker thread: see worker-pool.ts. */
import { parentPort } from "node:worker_threads";
import { doDigest, type FilesToDigest } from "./digest-work.ts";
import { doSegment } from "./segment-work.ts";
import type { WorkMessage } from "./worker-pool.ts";

parentPort?.on("message", (work: WorkMessage) => {
  const done = typeof work === "string" ? JSON.stringify(doDigest(JSON.parse(work) as FilesToDigest)) : doSegment(work);
  parentPort?.postMessage(done, []);
});
