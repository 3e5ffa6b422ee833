/** What runs in a worker thread: see worker-pool.ts. */
import { parentPort } from "node:worker_threads";
import { doDigest, doSegment, type DigestWork, type SegmentWork } from "./segment-work.ts";
import type { WorkMessage } from "./worker-pool.ts";

parentPort?.on("message", ({ text, memory }: WorkMessage) => {
  const work = JSON.parse(text) as SegmentWork | DigestWork;
  const done = memory === undefined ? doDigest(work as DigestWork) : doSegment({ ...(work as SegmentWork), memory });
  parentPort?.postMessage(JSON.stringify(done), []);
});
