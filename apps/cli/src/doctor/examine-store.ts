import { statfsSync } from "node:fs";
import { openLocalStore } from "@varve/cache";
import { selectSnapshotter } from "@varve/executor";
import { CodedError } from "@varve/oci";
import { dockerSize } from "../docker-words.ts";
import { storeBudget } from "../store-budget.ts";
import type { Finding } from "./finding.ts";

/** Free space below which a build is likely to fail: bytes. */
const TIGHT = 1_000_000_000;

/** The store: whether it can be opened and written, its disk, and how root file systems are put together in it. */
export async function examineStore(path: string): Promise<readonly Finding[]> {
  try {
    await using store = await openLocalStore(path);
    const snapshotter = await selectSnapshotter("auto", await store.makeTemporaryDirectory("mounts"));
    return [{ topic: "store", name: "", state: "works", text: path }, examineDisk(path), describe(snapshotter)];
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    const hint = error.hint === undefined ? {} : { hint: error.hint };
    return [{ topic: "store", name: "", state: "off", text: error.message, ...hint }];
  }
}

function examineDisk(path: string): Finding {
  const { bavail, bsize } = statfsSync(path);
  const free = bavail * bsize;
  const budget = storeBudget(path);
  const text = `${dockerSize(free)} free; the store keeps within ${budget === 0 ? "no limit" : dockerSize(budget)}`;
  if (free >= TIGHT) return { topic: "disk", name: "", state: "works", text };
  const hint = "Free space, run varve cache prune, or choose another store with VARVE_STORE";
  return { topic: "disk", name: "", state: "off", text, hint };
}

function describe({ name, whiteouts }: Awaited<ReturnType<typeof selectSnapshotter>>): Finding {
  if (name === "overlay")
    return { topic: "snapshotter", name, state: "works", text: `overlayfs with ${whiteouts}.overlay xattrs` };
  return {
    topic: "snapshotter",
    name,
    state: "off",
    text: "overlayfs can't be mounted here: every RUN step copies its whole root file system",
    hint: "Run as root or on Linux 5.11 or later, with the store on ext4, xfs, btrfs or tmpfs",
  };
}
