import { basename, relative, resolve } from "node:path";
import { type LocalStore, openBuildCache, openLocalStore } from "@varve/cache";
import { type Location, parseDockerfile, type Warning } from "@varve/dockerfile";
import { type BuildOptions, DEFAULT_CONCURRENCY, StepError } from "@varve/executor";
import { type BuildGraph, buildGraph } from "@varve/graph";
import { formatReference, hostPlatform, type Reference } from "@varve/oci";
import { BUILD_FLAGS } from "../build-flags.ts";
import {
  buildArgs,
  entitlements,
  epochOf,
  imageNames,
  keyValues,
  platforms,
  runDefaults,
  secrets,
  sshAgents,
} from "../build-settings.ts";
import { buildWithCaches, withTravellingMounts } from "../build-with-caches.ts";
import { type CacheWords, parseCaches } from "../cache-words.ts";
import { openCaches } from "../caches.ts";
import { type Call, parseCall } from "../calls/call.ts";
import { showMethods } from "../calls/help.ts";
import { showOutline } from "../calls/outline.ts";
import { showTargets } from "../calls/targets.ts";
import { openChecks, showChecks } from "../calls/checks.ts";
import { UsageError } from "../errors.ts";
import type { Command } from "../command.ts";
import { withConfig } from "../config/with-config.ts";
import type { Parsed } from "../flags.ts";
import { checkForeignFlags, FOREIGN_FLAGS } from "../foreign-flags.ts";
import { createImageFinder } from "../images.ts";
import { type Output, parseCompression, parseOutputs } from "../outputs.ts";
import { inPhase } from "../phase.ts";
import { describeError, exitCodeOf, formatError } from "../print-error.ts";
import { createProgress } from "../progress/create-progress.ts";
import type { Progress } from "../progress/progress.ts";
import { removeStaleFiles, report } from "../report.ts";
import { openSources, type Sources } from "../sources/open-sources.ts";
import { storePath } from "../store-path.ts";
import { VERSION } from "../version.ts";
import { checkOutputs, type WriteContext } from "../write-outputs.ts";

/** The words of a command line, read and found possible. */
interface Plan extends Omit<WriteContext, "options"> {
  readonly flags: Parsed;
  readonly call: Call;
  readonly outputs: readonly Output[];
  readonly caches: CacheWords;
  readonly started: number;
}

interface Surroundings {
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** Opens the store when it is first asked for. */
  readonly store: () => Promise<LocalStore>;
  readonly onWarning: (message: string, location?: Location) => void;
  /** Told as soon as the Dockerfile is read: errors show its lines. */
  readonly onSource: (source: Sources) => void;
}

/** `varve build`. */
export const buildCommand: Command = {
  usage: "[OPTIONS] [PATH | URL | -]",
  description: "Builds an image from a Dockerfile. Without --tag and --output it stays in the store.",
  flags: [...BUILD_FLAGS, ...FOREIGN_FLAGS.map((flag) => ({ ...flag, hidden: true }))],
  examples: [
    "varve build -t app:1 .",
    "varve build --push -t registry.example.com/team/app:1 .",
    "varve build -o type=oci,dest=app.tar --target test .",
  ],
  entersNamespace: true,
  run: runBuild,
};

async function runBuild(given: Parsed, signal: AbortSignal): Promise<number> {
  let source: { readonly text: string; readonly file: string } | undefined;
  let progress: Progress | undefined;
  let asJson = isJson(given);
  try {
    const started = now();
    let config: string | undefined;
    const plan = planBuild(
      withConfig(given, (file) => (config = file)),
      started,
    );
    asJson = isJson(plan.flags);
    const display = createProgress(progressMode(plan.flags));
    progress = display;
    if (config !== undefined) display.note(`config ${relative(process.cwd(), config)}`);
    const onWarning = (message: string, location?: Location): void =>
      display.onEvent({ type: "warning", message, ...(location === undefined ? {} : { location }) });
    checkForeignFlags(plan.flags, onWarning);
    await using resources = new AsyncDisposableStack();
    let opened: Promise<LocalStore> | undefined;
    const open = async (): Promise<LocalStore> =>
      resources.use(await openLocalStore(storePath(plan.flags.value("store")), { onWarning }));
    const onSource = ({ dockerfile: text, file }: Sources): void => void (source = { text, file });
    return await runPlan(plan, { progress: display, signal, store: () => (opened ??= open()), onWarning, onSource });
  } catch (error) {
    const told =
      signal.aborted && !(error instanceof UsageError)
        ? new StepError("CANCELLED", "Cannot finish the build: it was cancelled", { cause: error })
        : error;
    progress?.end(told);
    process.stderr.write(`${asJson ? JSON.stringify(describeError(told)) : formatError(told, source)}\n`);
    return exitCodeOf(told);
  }
}

/** Milliseconds since the process started; `performance` takes one to be loaded. */
function now(): number {
  return process.uptime() * 1000;
}

function progressMode(flags: Parsed): string {
  return flags.is("quiet") ? "quiet" : (flags.value("progress") ?? process.env["BUILDKIT_PROGRESS"] ?? "auto");
}

/** True where standard error is to be one JSON object a line, to the end. */
function isJson(flags: Parsed): boolean {
  return ["json", "rawjson"].includes(progressMode(flags));
}

/** @throws UsageError for what can be known to be wrong before anything is read. */
function planBuild(flags: Parsed, started: number): Plan {
  oneOf(flags, "runner", ["auto", "runc", "crun", "unshare", "chroot"]);
  oneOf(flags, "snapshotter", ["auto", "overlay", "copy"]);
  const outputs = parseOutputs(flags);
  const tags = imageNames(flags.list("tag"));
  const annotations = Object.entries(keyValues(flags, "annotation"));
  checkOutputs(outputs, { tags, annotations });
  return { flags, call: parseCall(flags), outputs, caches: parseCaches(flags), tags, annotations, started };
}

function oneOf<T extends string>(flags: Parsed, name: string, words: readonly T[]): T | undefined {
  const value = flags.value(name);
  const word = words.find((each) => each === value);
  if (value === undefined || word !== undefined) return word;
  throw new UsageError(`Cannot use --${name} "${value}": wanted ${words.join(", ")}`);
}

async function runPlan(plan: Plan, surroundings: Surroundings): Promise<number> {
  const { flags, call } = plan;
  const { store, progress, signal } = surroundings;
  if (call.method === "help") return showMethods(call);
  const makeScratch = async (): Promise<string> => (await store()).makeTemporaryDirectory("tmp");
  const sources = await openSources(flags, {
    makeScratch,
    signal,
    onEvent: (event) => progress.onEvent(event),
  });
  surroundings.onSource(sources);
  const source = { text: sources.dockerfile, file: sources.file };
  switch (call.method) {
    case "check": {
      progress.end();
      const override = buildArgs(flags).get("BUILDKIT_DOCKERFILE_CHECK");
      return showChecks({ ...source, override, ignore: sources.contexts.get("")?.ignore }, call);
    }
    case "targets":
      progress.end();
      return showTargets(source, call);
    case "outline":
      return outline(sources, plan, surroundings);
    case "build":
      await buildFrom(sources, plan, surroundings);
      return 0;
    default:
      return call.method satisfies never;
  }
}

async function outline(sources: Sources, plan: Plan, surroundings: Surroundings): Promise<number> {
  const { flags, call } = plan;
  const store = await surroundings.store();
  await using cache = openBuildCache({ store, remotes: [], onWarning: surroundings.onWarning });
  const options = createOptions(sources, plan, { ...surroundings, store, cache });
  const [graph] = await createGraphs(sources, flags, { ...surroundings, options, onWarning: () => undefined });
  surroundings.progress.end();
  if (graph === undefined) throw new Error("Cannot outline: there is no platform");
  return showOutline(graph, { text: sources.dockerfile, file: sources.file, target: flags.value("target") }, call);
}

async function buildFrom(sources: Sources, plan: Plan, surroundings: Surroundings): Promise<void> {
  const { flags } = plan;
  const { progress } = surroundings;
  await removeStaleFiles(flags);
  const store = await surroundings.store();
  const caches = openCaches(plan.caches, { store, onWarning: surroundings.onWarning });
  await using cache = caches.cache;
  const planned = createOptions(sources, plan, { ...surroundings, store, cache });
  const options = withTravellingMounts(planned, { words: plan.caches, caches, onWarning: surroundings.onWarning });
  const graphs = await createGraphs(sources, flags, { ...surroundings, options });
  checkEntitlements(graphs, entitlements(flags));
  const { result, written } = await buildWithCaches(
    graphs,
    { ...plan, project: projectOf(sources, plan.tags), target: flags.value("target") ?? "" },
    { options, caches },
  );
  progress.end();
  await report(result, written, {
    ...plan,
    caches: caches.isShared ? cache.counts() : undefined,
    duration: now() - plan.started,
    asJson: isJson(flags),
  });
}

/** The image's repository; where it has no name, that of the context's directory. */
function projectOf({ contexts }: Sources, [tag]: readonly Reference[]): string {
  return tag?.repository ?? basename(contexts.get("")?.path ?? "");
}

/** What the executor is handed, of a command line with the flags of a build. */
export function createOptions(
  { contexts, file }: Sources,
  { flags, outputs, tags }: Pick<Plan, "flags" | "outputs" | "tags">,
  { store, cache, signal, progress }: Pick<Surroundings, "signal" | "progress"> & Pick<BuildOptions, "store" | "cache">,
): BuildOptions {
  const asked = outputs.find(({ compression }) => compression !== undefined)?.compression;
  return {
    store,
    cache,
    contexts,
    runner: (flags.value("runner") ?? "auto") as BuildOptions["runner"],
    snapshotter: (flags.value("snapshotter") ?? "auto") as BuildOptions["snapshotter"],
    secrets: secrets(flags),
    ssh: sshAgents(flags),
    concurrency: DEFAULT_CONCURRENCY,
    epoch: epochOf(buildArgs(flags)),
    compression: parseCompression(flags.value("compression"), undefined) ?? asked ?? { type: "gzip" },
    producer: `varve/${VERSION}`,
    lineage: lineageOf(flags.positionals[0], file, tags),
    signal,
    onEvent: (event) => progress.onEvent(event),
  };
}

/** Builds of the same Dockerfile in the same directory are compared; of what came from standard input, those of the same name. */
function lineageOf(place: string | undefined, file: string, tags: readonly Reference[]): string {
  const isStreamed = place === undefined || place === "-";
  return JSON.stringify(isStreamed ? ["-", file, ...tags.map(formatReference)] : [resolve(place), resolve(file)]);
}

/** The build graphs of a Dockerfile, one for each platform that the flags name. */
export async function createGraphs(
  { dockerfile, file, contexts, namedContexts }: Sources,
  flags: Parsed,
  { options, onWarning }: Pick<Surroundings, "onWarning"> & { readonly options: BuildOptions },
): Promise<readonly BuildGraph[]> {
  const { store, signal, onEvent } = options;
  const parsed = parseDockerfile(dockerfile, { file });
  const args = buildArgs(flags);
  const checks = openChecks(parsed, {
    override: args.get("BUILDKIT_DOCKERFILE_CHECK"),
    ignore: contexts.get("")?.ignore,
    onWarning,
  });
  const common = {
    target: flags.value("target"),
    buildPlatform: hostPlatform(),
    buildArgs: args,
    labels: keyValues(flags, "label"),
    namedContexts,
    noCache: flags.is("no-cache") || flags.list("no-cache-filter").flatMap((names) => names.split(",")),
    runDefaults: runDefaults(flags, args),
    resolveImage: createImageFinder({ store, pull: flags.is("pull"), onWarning, signal }),
    platformIsImplied: flags.list("platform").length === 0,
    onWarning,
    onCheck: (warning: Warning) => checks.report([warning]),
  };
  return inPhase("looking up base images", onEvent, () =>
    Promise.all(platforms(flags).map((platform) => buildGraph(parsed.dockerfile, { ...common, platform }))),
  );
}

function checkEntitlements(graphs: readonly BuildGraph[], allowed: ReadonlySet<string>): void {
  const asked = graphs
    .flatMap(({ steps }) => steps)
    .find((step) => step.kind === "run" && step.security === "insecure");
  if (asked !== undefined && !allowed.has("security.insecure"))
    throw new UsageError(
      `Cannot run "${asked.name}" with --security=insecure: it is not allowed`,
      "Allow it with --allow security.insecure",
    );
}
