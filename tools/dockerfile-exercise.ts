/** All that varve does with the text of a Dockerfile before anything runs: what fuzzing sends its inputs through. */
import {
  checkDockerfile,
  createIgnoreMatcher,
  DockerfileError,
  expandInstruction,
  formatSource,
  type Location,
  parseDockerfile,
  parseDockerignore,
  parseTrigger,
} from "@varve/dockerfile";
import { buildGraph, type GraphOptions, stepDefinition } from "@varve/graph";
import {
  CodedError,
  createMemoryStore,
  encodeImageConfig,
  encodeManifest,
  type Image,
  MEDIA_TYPES,
  OciError,
  parsePlatform,
  parseReference,
  type Platform,
  resolveImage,
} from "@varve/oci";

const PLATFORM = parsePlatform("linux/amd64");

/** Every reference that can be parsed is this image; one whose name has "absent" in it is not there. */
async function findImage(reference: string, platform: Platform): Promise<Image> {
  parseReference(reference);
  if (reference.includes("absent")) throw new OciError("BLOB_UNKNOWN", `Cannot find image "${reference}"`);
  const store = createMemoryStore();
  const config = encodeImageConfig({
    ...platform,
    config: { Env: ["PATH=/bin", "BASE=1"], OnBuild: ["RUN echo $BASE"] },
    rootfs: { type: "layers", diff_ids: [] },
    history: [],
  });
  const manifest = encodeManifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.manifest,
    config: config.descriptor,
    layers: [],
  });
  for (const { descriptor, bytes } of [config, manifest]) {
    async function* once(): AsyncIterable<Uint8Array> {
      yield bytes;
    }
    await store.push(descriptor, once());
  }
  return resolveImage(store, manifest.descriptor, { platform });
}

const OPTIONS: Omit<GraphOptions, "onWarning"> = {
  platform: PLATFORM,
  buildPlatform: PLATFORM,
  buildArgs: new Map([["b", "given"]]),
  labels: { given: "yes" },
  namedContexts: new Map([["context", { type: "context", name: "context" }]]),
  noCache: false,
  runDefaults: { network: "default", hostname: undefined, extraHosts: [], ulimits: [], shmSize: undefined },
  resolveImage: findImage,
};

/**
 * Parses, checks, expands and plans a Dockerfile, and reads it as an ignore file too. Gives the code of the error that
 * a user would see; undefined where there is none.
 * @throws whatever is no documented error: a bug.
 */
export async function exerciseDockerfile(source: Uint8Array | string): Promise<string | undefined> {
  const text = typeof source === "string" ? source : new TextDecoder().decode(source);
  await codeOf(text, () => exerciseIgnoreFile(text));
  return codeOf(text, () => plan(source));
}

function exerciseIgnoreFile(text: string): void {
  const matcher = createIgnoreMatcher(parseDockerignore(text.slice(0, 10_000)));
  for (const path of ["a", "a/b", "src/main.c", "é/😀"]) {
    matcher.matches(path);
    matcher.canSkipDirectory(path);
  }
}

async function plan(source: Uint8Array | string): Promise<void> {
  const parsed = parseDockerfile(source, { file: "Dockerfile" });
  const { dockerfile } = parsed;
  checkDockerfile(parsed, { experimental: "all" });
  for (const instruction of dockerfile.stages.flatMap((stage) => stage.instructions)) {
    expandInstruction(instruction, { lookup: (name) => `<${name}>`, escape: dockerfile.directives.escape });
    if (instruction.kind === "ONBUILD") parseTrigger(instruction.trigger, instruction.location);
  }
  const { steps } = await buildGraph(dockerfile, { ...OPTIONS, onWarning: () => undefined });
  for (const step of steps) if (step.kind !== "from") stepDefinition(step);
}

/** The code of an error that is meant for users, and has a message and a place that can be shown. */
async function codeOf(text: string, work: () => void | Promise<void>): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (!(error instanceof DockerfileError || error instanceof CodedError)) throw error;
    const { location, word } = error as { readonly location?: Location; readonly word?: string };
    if (location !== undefined) formatSource(text, location, word);
    return error.code;
  }
}
