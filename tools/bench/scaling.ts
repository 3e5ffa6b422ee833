/** What one entry, step and record costs as their number grows, inside one process. */
import { join } from "node:path";
import { openLocalStore } from "@varve/cache";
import { parseDockerfile } from "@varve/dockerfile";
import { buildGraph } from "@varve/graph";
import { packLayer, scanDirectory, treeDigest } from "@varve/layer";
import { createMemoryStore, digestOf, hostPlatform } from "@varve/oci";
import { makeTree } from "../make-tree.ts";
import type { Place } from "./place.ts";

/** One curve: how long each of `size` things takes. */
export interface Scaling {
  readonly name: string;
  /** Of `each`. */
  readonly unit: "us";
  readonly points: readonly { readonly size: number; readonly each: number }[];
}

type Task = (size: number) => Promise<number>;

/** Measures entries and steps at 1e2 to 1e5, records at 1e2 to 1e6, as far as the place's scale allows. */
export async function measureScaling(place: Place): Promise<readonly Scaling[]> {
  const sizes = [1e2, 1e3, 1e4, 1e5, 1e6].filter((size) => size <= 1e6 * place.scale || size === 100);
  const small = sizes.filter((size) => size <= 1e5);
  return [
    await measureOne("an entry: scan, digest, pack", { sizes: small, task: (size) => packEntries(place, size) }),
    await measureOne("a step: parse and graph", { sizes: small, task: graphSteps }),
    await measureOne("a record: put", { sizes, task: (size) => putRecords(place, size) }),
    await measureOne("a record: get", { sizes, task: (size) => getRecords(place, size) }),
  ];
}

async function measureOne(
  name: string,
  { sizes, task }: { readonly sizes: readonly number[]; readonly task: Task },
): Promise<Scaling> {
  await task(100);
  const points: { size: number; each: number }[] = [];
  for (const size of sizes) points.push({ size, each: (1000 * (await task(size))) / size });
  return { name, unit: "us", points };
}

async function packEntries(place: Place, size: number): Promise<number> {
  const directory = join(place.path, "scaling", `tree-${size}`);
  makeTree(directory, { files: size, bytes: 1000 * size, seed: 7 });
  return timed(async () => {
    const entries = scanDirectory(directory);
    await treeDigest(entries);
    await packLayer(entries, { store: createMemoryStore(), compression: { type: "gzip" } });
  });
}

async function graphSteps(size: number): Promise<number> {
  const text = `FROM scratch\n${Array.from({ length: size }, (_, step) => `RUN command ${step}\n`).join("")}`;
  return timed(async () => {
    const platform = hostPlatform();
    const { dockerfile } = parseDockerfile(text, { file: "Dockerfile" });
    await buildGraph(dockerfile, {
      target: undefined,
      platform,
      buildPlatform: platform,
      buildArgs: new Map(),
      labels: {},
      namedContexts: new Map(),
      noCache: false,
      runDefaults: { network: "default", hostname: undefined, extraHosts: [], ulimits: [], shmSize: undefined },
      resolveImage: () => Promise.reject(new Error("there is no base")),
      onWarning: () => {},
    });
  });
}

const BATCH = 1000;

async function putRecords(place: Place, size: number): Promise<number> {
  await using store = await openLocalStore(place.file(`scaling/store-${size}/store`));
  return timed(async () => {
    for (let start = 0; start < size; start += BATCH)
      await Promise.all(keys(start, Math.min(size, start + BATCH)).map((key) => store.index.put(recordOf(key))));
  });
}

async function getRecords(place: Place, size: number): Promise<number> {
  await using store = await openLocalStore(place.file(`scaling/store-${size}/store`));
  return timed(async () => {
    for (let start = 0; start < size; start += BATCH)
      await store.index.getMany(keys(start, Math.min(size, start + BATCH)));
  });
}

function keys(from: number, to: number): ReturnType<typeof digestOf>[] {
  return Array.from({ length: to - from }, (_, position) => digestOf(Buffer.from(`key ${from + position}`)));
}

function recordOf(
  key: ReturnType<typeof digestOf>,
): Parameters<Awaited<ReturnType<typeof openLocalStore>>["index"]["put"]>[0] {
  return {
    key,
    layer: undefined,
    ingredients: { definition: key, parent: key },
    createdAt: "2026-01-01T00:00:00Z",
    duration: 1,
    producer: "bench",
  };
}

async function timed(task: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await task();
  return performance.now() - started;
}
