import { writeFile } from "node:fs/promises";
import { openLocalStore } from "@varve/cache";
import { parseDockerfile } from "@varve/dockerfile";
import { runChecks, showChecks } from "../checks.ts";
import { build, type BuildOptions, type BuildResult, DEFAULT_CONCURRENCY, StepError } from "@varve/executor";
import { buildGraph } from "@varve/graph";
import {
  familiarReference,
  formatPlatform,
  formatReference,
  hostPlatform,
  parseReference,
  type Reference,
  withDefaultTag,
} from "@varve/oci";
import { BUILD_FLAGS } from "../build-flags.ts";
import { buildArgs, epochOf, keyValues, platforms, runDefaults, secrets, sshAgents } from "../build-settings.ts";
import { UsageError } from "../errors.ts";
import { type Parsed, parseFlags } from "../flags.ts";
import { createImageFinder } from "../images.ts";
import { type Output, parseCompression, parseOutputs } from "../outputs.ts";
import { exitCodeOf, formatError } from "../print-error.ts";
import { createProgress } from "../progress/create-progress.ts";
import { formatSeconds, type Progress } from "../progress/progress.ts";
import { openSources, type Sources } from "../sources.ts";
import { storePath } from "../store-path.ts";
import { VERSION } from "../version.ts";
import { writeOutputs, type Written } from "../write-outputs.ts";

/** `varve build`: gives the exit code. */
export async function runBuild(argv: readonly string[], signal: AbortSignal): Promise<number> {
  let source: { readonly text: string; readonly file: string } | undefined;
  let progress: Progress | undefined;
  try {
    const flags = parseFlags(argv, BUILD_FLAGS);
    checkFlags(flags);
    const outputs = parseOutputs(flags);
    progress = createProgress(
      flags.is("quiet") ? "quiet" : (flags.value("progress") ?? process.env["BUILDKIT_PROGRESS"] ?? "auto"),
    );
    const sources = await openSources(flags);
    source = { text: sources.dockerfile, file: sources.file };
    if (flags.is("check") || flags.value("call") === "check") return showChecks(source);
    await buildFrom(sources, { flags, outputs, progress, signal });
    return 0;
  } catch (error) {
    progress?.end();
    const told =
      signal.aborted && !(error instanceof UsageError)
        ? new StepError("CANCELLED", "Cannot finish the build: it was cancelled", { cause: error })
        : error;
    process.stderr.write(`${formatError(told, source)}\n`);
    return exitCodeOf(told);
  }
}

const NO_ATTESTATIONS = "varve writes no attestations: leave the flag out, or set it to false";

function checkFlags(flags: Parsed): void {
  for (const name of ["provenance", "sbom"]) {
    const value = flags.value(name);
    if (value !== undefined && value !== "false" && value !== "disabled=true")
      throw new UsageError(`Cannot use --${name}=${value}`, NO_ATTESTATIONS);
  }
  const runner = flags.value("runner") ?? "auto";
  if (!["auto", "runc", "crun", "unshare", "chroot"].includes(runner))
    throw new UsageError(`Cannot use --runner "${runner}": wanted auto, runc, crun, unshare or chroot`);
  const snapshotter = flags.value("snapshotter") ?? "auto";
  if (!["auto", "overlay", "copy"].includes(snapshotter))
    throw new UsageError(`Cannot use --snapshotter "${snapshotter}": wanted auto, overlay or copy`);
  const call = flags.value("call") ?? "build";
  if (call !== "build" && call !== "check") {
    throw new UsageError(`Cannot use --call=${call}: wanted build or check`);
  }
}

interface BuildContext {
  readonly flags: Parsed;
  readonly outputs: readonly Output[];
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

async function buildFrom(sources: Sources, context: BuildContext): Promise<void> {
  const { flags, outputs, progress, signal } = context;
  const started = performance.now();
  const args = buildArgs(flags);
  const tags = flags.list("tag").map((name) => withDefaultTag(parseReference(name)));
  const parsed = parseDockerfile(sources.dockerfile, { file: sources.file });
  const onWarning = (message: string): void => progress.onEvent({ type: "warning", message });
  for (const warning of runChecks(parsed, args.get("BUILDKIT_DOCKERFILE_CHECK"))) onWarning(warning);
  await using store = await openLocalStore(storePath(flags.value("store")), { onWarning });
  const graphs = await Promise.all(
    chosenPlatforms(flags).map((platform) =>
      buildGraph(parsed.dockerfile, {
        target: flags.value("target"),
        platform,
        buildPlatform: hostPlatform(),
        buildArgs: args,
        labels: keyValues(flags, "label"),
        namedContexts: sources.namedContexts,
        noCache: flags.is("no-cache") || flags.list("no-cache-filter").flatMap((names) => names.split(",")),
        runDefaults: runDefaults(flags, args),
        resolveImage: createImageFinder({ store, pull: flags.is("pull"), onWarning, signal }),
        onWarning,
      }),
    ),
  );
  const compression = parseCompression(flags.value("compression"), undefined) ??
    outputs.find((output) => output.compression !== undefined)?.compression ?? { type: "gzip" };
  const options: BuildOptions = {
    store,
    cache: store,
    contexts: sources.contexts,
    runner: (flags.value("runner") ?? "auto") as BuildOptions["runner"],
    snapshotter: (flags.value("snapshotter") ?? "auto") as BuildOptions["snapshotter"],
    secrets: secrets(flags),
    ssh: sshAgents(flags),
    concurrency: DEFAULT_CONCURRENCY,
    epoch: epochOf(args),
    compression,
    producer: `varve/${VERSION}`,
    signal,
    onEvent: (event) => progress.onEvent(event),
  };
  const result = await build(graphs, options);
  const annotations = Object.entries(keyValues(flags, "annotation"));
  const written = await writeOutputs(result, outputs, { options, tags, annotations, progress });
  progress.end();
  await report(result, written, { flags, tags, seconds: performance.now() - started });
}

function chosenPlatforms(flags: Parsed): ReturnType<typeof platforms> {
  const chosen = platforms(flags);
  return chosen.length === 0 ? [hostPlatform()] : chosen;
}

interface ReportContext {
  readonly flags: Parsed;
  readonly tags: readonly Reference[];
  readonly seconds: number;
}

/** The image's ID on standard output, where it is on standard error; files where they were asked for. */
async function report(
  { counts }: BuildResult,
  { image, places }: Written,
  { flags, tags, seconds }: ReportContext,
): Promise<void> {
  const [first] = image.images;
  const id = image.images.length === 1 && first !== undefined ? first.manifest.config.digest : image.descriptor.digest;
  const idFile = flags.value("iidfile");
  if (idFile !== undefined) await writeFile(idFile, id);
  const metadataFile = flags.value("metadata-file");
  if (metadataFile !== undefined) {
    const metadata = {
      "containerimage.config.digest": id,
      "containerimage.digest": image.descriptor.digest,
      "containerimage.descriptor": image.descriptor,
      ...(tags.length === 0 ? {} : { "image.name": tags.map(formatReference).join(",") }),
    };
    await writeFile(metadataFile, `${JSON.stringify(metadata, undefined, 2)}\n`);
  }
  const toStdout = flags.list("output").some((text) => /(^-$|dest=-(,|$))/.test(text));
  if (!flags.is("quiet")) process.stderr.write(`${summary(counts, { seconds, places, image, tags })}\n`);
  if (!toStdout) process.stdout.write(`${id}\n`);
}

interface SummaryContext {
  readonly seconds: number;
  readonly places: readonly string[];
  readonly image: Written["image"];
  readonly tags: readonly Reference[];
}

function summary({ steps, cached }: BuildResult["counts"], { seconds, places, image, tags }: SummaryContext): string {
  const platformNames = image.images.map(({ platform }) => formatPlatform(platform)).join(", ");
  const lines = [
    `built ${tags.map(familiarReference).join(", ") || "image"} (${platformNames}) in ${formatSeconds(seconds)}: ${steps} steps, ${cached} cached`,
    `manifest ${image.descriptor.digest}`,
  ];
  return [...lines, ...places.map((place) => `in ${place}`)].join("\n");
}
