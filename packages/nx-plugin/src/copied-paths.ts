import { parseDockerfile } from "@varve/dockerfile";
import { buildGraph, type CopySource, type FileSet, type Step } from "@varve/graph";
import { digestOf, hostPlatform, type Image, MEDIA_TYPES } from "@varve/oci";

/** A path that a Dockerfile reads from a build context; it may hold wildcards. */
export interface CopiedPath {
  /** "" is the main context. */
  readonly context: string;
  /** Relative to the context; "" for all of it. */
  readonly path: string;
}

export interface CopiedPathsOptions {
  readonly target: string | undefined;
  readonly buildArgs: ReadonlyMap<string, string>;
  /** Names of contexts that are directories. */
  readonly contexts: Iterable<string>;
}

/** Stands for every base image: what a base holds does not change which paths are copied. */
const UNKNOWN_IMAGE: Image = {
  descriptor: { mediaType: MEDIA_TYPES.manifest, digest: digestOf(Buffer.from("{}")), size: 2 },
  manifest: {
    schemaVersion: 2,
    config: { mediaType: MEDIA_TYPES.config, digest: digestOf(Buffer.from("{}")), size: 2 },
    layers: [],
  },
  config: { ...hostPlatform(), rootfs: { type: "layers", diff_ids: [] } },
  layers: [],
  content: {
    exists: async () => false,
    fetch: () => {
      throw new Error("Cannot read an image that only stands for one");
    },
  },
};

/**
 * What the stages that the target needs read from build contexts: by COPY, ADD and `RUN --mount=type=bind`, with
 * variables expanded. Nothing is pulled or read.
 * @throws DockerfileError, GraphError for a Dockerfile that does not build.
 */
export async function copiedPaths(text: string, options: CopiedPathsOptions): Promise<readonly CopiedPath[]> {
  const { dockerfile } = parseDockerfile(text, { file: "Dockerfile" });
  const platform = hostPlatform();
  const { steps } = await buildGraph(dockerfile, {
    target: options.target,
    platform,
    buildPlatform: platform,
    buildArgs: options.buildArgs,
    labels: {},
    namedContexts: new Map([...options.contexts].map((name) => [name, { type: "context", name }])),
    noCache: false,
    runDefaults: { network: "default", hostname: undefined, extraHosts: [], ulimits: [], shmSize: undefined },
    resolveImage: async () => UNKNOWN_IMAGE,
    onWarning: () => undefined,
  });
  const all = steps.flatMap(pathsOfStep).map(({ context, path }) => ({ context, path: clean(path) }));
  return [...new Map(all.map((copied) => [JSON.stringify(copied), copied])).values()];
}

function pathsOfStep(step: Step): readonly CopiedPath[] {
  switch (step.kind) {
    case "copy":
      return step.sources.flatMap((source: CopySource) =>
        source.type === "path" ? inContext(source.from, source.path) : [],
      );
    case "run":
      return step.mounts.flatMap((mount) =>
        (mount.type === "bind" || mount.type === "cache") && mount.from !== undefined
          ? inContext(mount.from, mount.source)
          : [],
      );
    case "from":
    case "workdir":
      return [];
    default:
      return step satisfies never;
  }
}

function inContext(from: FileSet, path: string): readonly CopiedPath[] {
  return from.type === "context" ? [{ context: from.name, path }] : [];
}

function clean(path: string): string {
  const names: string[] = [];
  for (const name of path.split("/")) {
    if (name === "..") names.pop();
    else if (name !== "" && name !== ".") names.push(name);
  }
  return names.join("/");
}
