/** Builds images for tests of exporters: from Dockerfiles, with a store of their own, gone when the test ends. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openBuildCache, openLocalStore } from "@varve/cache";
import { parseDockerfile } from "@varve/dockerfile";
import { buildGraph } from "@varve/graph";
import { chunksOf, type TarPart } from "@varve/layer";
import { openLayout, parsePlatform, resolveImage } from "@varve/oci";
import { onTestFinished } from "vitest";
import { busyboxLayout } from "../../../../tools/base-images.ts";
import { build, type BuildResult } from "../../src/build.ts";
import type { BuildOptions } from "../../src/session.ts";

export interface Built {
  readonly result: BuildResult;
  readonly options: BuildOptions;
  /** A path that is free, below a directory of this test. */
  readonly path: (name: string) => string;
}

export interface BuildInput {
  readonly dockerfile: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly platforms?: readonly string[];
  readonly epoch?: number;
}

/** Builds `dockerfile`, in which `FROM busybox` is a busybox. */
export async function buildImages({ dockerfile, files = {}, platforms, epoch }: BuildInput): Promise<Built> {
  const directory = mkdtempSync(join(tmpdir(), "varve-export-"));
  const store = await openLocalStore(join(directory, "store"));
  onTestFinished(async () => {
    await store[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true, force: true });
  });
  const context = join(directory, "context");
  mkdirSync(context);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(context, name), text);
  const options: BuildOptions = {
    store,
    cache: openBuildCache({ store, remotes: [], onWarning: () => undefined }),
    contexts: new Map([["", { type: "directory", path: context, ignore: undefined }]]),
    runner: "auto",
    snapshotter: "auto",
    secrets: new Map(),
    ssh: new Map(),
    concurrency: 4,
    epoch,
    compression: { type: "gzip" },
    producer: "test",
    signal: new AbortController().signal,
    onEvent: () => undefined,
  };
  const graphs = await Promise.all(
    (platforms ?? ["linux/amd64"]).map((platform) => graphOf(dockerfile, parsePlatform(platform))),
  );
  return { result: await build(graphs, options), options, path: (name) => join(directory, name) };
}

async function graphOf(text: string, platform: ReturnType<typeof parsePlatform>): ReturnType<typeof buildGraph> {
  return buildGraph(parseDockerfile(text, { file: "Dockerfile" }).dockerfile, {
    platform,
    buildPlatform: platform,
    buildArgs: new Map(),
    labels: {},
    namedContexts: new Map(),
    noCache: false,
    runDefaults: { network: "none", hostname: undefined, extraHosts: [], ulimits: [], shmSize: undefined },
    resolveImage: async () => {
      const layout = await openLayout(await busyboxLayout());
      const descriptor = await layout.resolve("latest");
      if (descriptor === undefined) throw new Error("no busybox");
      return resolveImage(layout, descriptor, { platform });
    },
    onWarning: () => undefined,
  });
}

/** All bytes of an archive. */
export async function collect(parts: AsyncIterable<TarPart>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunksOf(parts)) all.push(Uint8Array.from(chunk));
  return Buffer.concat(all);
}

/** Rewrites nothing. */
export const AS_BUILT = {
  mediaTypes: "oci",
  forceCompression: undefined,
  clampTimes: undefined,
  annotations: { manifest: {}, index: {}, manifestDescriptor: {} },
} as const;
