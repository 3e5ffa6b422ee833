import { openLocalStore } from "@varve/cache";
import { predict, type StepPrediction } from "@varve/executor";
import { BUILD_FLAGS } from "../build-flags.ts";
import { imageNames } from "../build-settings.ts";
import { type CacheWords, parseCaches } from "../cache-words.ts";
import { openCaches } from "../caches.ts";
import type { Command } from "../command.ts";
import { withConfig } from "../config/with-config.ts";
import type { Flag, Parsed } from "../flags.ts";
import { exitCodeOf, formatError } from "../print-error.ts";
import { createProgress } from "../progress/create-progress.ts";
import { openSources } from "../sources/open-sources.ts";
import { storePath } from "../store-path.ts";
import { createGraphs, createOptions } from "./build.ts";

/** Flags of a build that decide what a step's key is, or where it is looked for. */
const KEY_FLAGS = [
  "add-host",
  "build-arg",
  "build-context",
  "cache",
  "cache-from",
  "cache-verify-key",
  "config",
  "file",
  "network",
  "no-cache",
  "no-cache-filter",
  "platform",
  "pull",
  "shm-size",
  "store",
  "tag",
  "target",
  "ulimit",
];
const FLAGS: readonly Flag[] = [
  ...BUILD_FLAGS.filter(({ name }) => KEY_FLAGS.includes(name)),
  { name: "json", description: "Write the steps and the causes as JSON" },
];
/** Longer names are cut: characters. */
const NAME_WIDTH = 60;
const OUTCOME_WIDTH = "likely miss".length;

/** `varve explain`: which steps a build would find in the cache, and why not the others. */
export const explainCommand: Command = {
  usage: "[OPTIONS] [PATH]",
  description:
    "Says which steps a build would find in the cache, and of the others what changed since the nearest earlier build. Runs nothing.",
  flags: FLAGS,
  examples: ["varve explain .", "varve explain --target test --build-arg VERSION=2 .", "varve explain --json ."],
  entersNamespace: true,
  run: runExplain,
};

async function runExplain(given: Parsed, signal: AbortSignal): Promise<number> {
  const flags = withConfig(given, () => undefined);
  const onWarning = (message: string): void => void process.stderr.write(`WARNING ${message}\n`);
  await using store = await openLocalStore(storePath(flags.value("store")), { onWarning });
  const sources = await openSources(flags, {
    makeScratch: () => store.makeTemporaryDirectory("tmp"),
    signal,
    onEvent: () => undefined,
  });
  try {
    const plan = { flags, outputs: [], tags: imageNames(flags.list("tag")) };
    const words = parseCaches(flags);
    const readOnly = {
      ...words,
      upload: { ...words.upload, mode: "none" },
      others: words.others.filter(isRead),
    } as const;
    await using cache = openCaches(readOnly, { store, onWarning }).cache;
    const options = createOptions(sources, plan, { store, cache, signal, progress: createProgress("quiet") });
    const predictions = await predict(await createGraphs(sources, flags, { options, onWarning }), options);
    process.stdout.write(flags.is("json") ? formatJson(predictions) : formatText(predictions));
    return 0;
  } catch (error) {
    process.stderr.write(`${formatError(error, { text: sources.dockerfile, file: sources.file })}\n`);
    return signal.aborted ? 130 : exitCodeOf(error);
  }
}

/** A cache that would only be written tells nothing. */
function isRead({ mode }: CacheWords["others"][number]): boolean {
  return mode === undefined;
}

function formatJson(predictions: readonly StepPrediction[]): string {
  const steps = predictions.map(({ step, outcome, certain, reason }) => ({
    name: step.name,
    stage: step.origin.stage,
    position: step.origin.position,
    ...(step.location === undefined ? {} : { file: step.location.file, line: step.location.line }),
    outcome,
    certain,
    ...(reason === undefined ? {} : { reason }),
  }));
  return `${JSON.stringify({ steps, ...count(predictions) }, undefined, 2)}\n`;
}

function count(predictions: readonly StepPrediction[]): { readonly hits: number; readonly misses: number } {
  const hits = predictions.filter(({ outcome }) => outcome === "hit").length;
  return { hits, misses: predictions.length - hits };
}

function formatText(predictions: readonly StepPrediction[]): string {
  const lines = predictions.flatMap(({ step, outcome, certain, reason }) => {
    const word = `${certain ? "" : "likely "}${outcome}`.padEnd(OUTCOME_WIDTH);
    const name = step.name.replaceAll(/\s+/g, " ");
    const shown = name.length > NAME_WIDTH ? `${name.slice(0, NAME_WIDTH - 1)}…` : name;
    return [`${word}  ${shown}`, ...(reason === undefined ? [] : [`${" ".repeat(OUTCOME_WIDTH + 2)}${reason.text}`])];
  });
  const { hits, misses } = count(predictions);
  return `${[...lines, `${predictions.length} steps, hits: ${hits}, misses: ${misses}`].join("\n")}\n`;
}
