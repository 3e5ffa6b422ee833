import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Bytes of buffers after which those that nobody needs any more are given back. */
const EVERY = 32 * 1024 * 1024;

type CollectGarbage = (options: { readonly type: "minor" }) => void;

/**
 * Counts bytes that came in buffers of their own, and has V8 look for those that are no more needed after every 32 MiB.
 * V8 itself looks when many objects were made; buffers are few and large, and fifty uploads would hold hundreds of MiB.
 */
export function createBufferRelease(): (bytes: number) => void {
  const collect = exposeGarbageCollection();
  let received = 0;
  return (bytes) => {
    received += bytes;
    if (received < EVERY) return;
    received = 0;
    collect({ type: "minor" });
  };
}

function exposeGarbageCollection(): CollectGarbage {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as CollectGarbage;
  setFlagsFromString("--no-expose-gc");
  return collect;
}
