/**
 * Looks for Dockerfiles that crash varve or keep it busy: `npm run fuzz [-- --seconds=120] [--seed=1]`. What it finds
 * is written to fuzz-SEED.Dockerfile, as small as it could be made, and ends it with 1.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import fc from "fast-check";
import { exerciseDockerfile } from "./dockerfile-exercise.ts";
import { anyBytes, dockerfileText, mutated, repeat, repetition } from "./dockerfile-inputs.ts";

type Input = string | Uint8Array;

/** Milliseconds of CPU time that `LARGE` characters may take. A slow machine is no failure: this is ten times enough. */
const LIMIT = 5000;
const LARGE = 200_000;
/** A worker that does not answer for so long is lost: milliseconds. */
const TIMEOUT = 60_000;

if (isMainThread) await fuzz();
else
  parentPort?.on("message", (input: Input) => void exercise(input).then((fault) => parentPort?.postMessage(fault, [])));

/** What is wrong with how varve takes `input`; "" where nothing is. */
async function exercise(input: Input): Promise<string> {
  const before = process.threadCpuUsage();
  try {
    await exerciseDockerfile(input);
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  const { user, system } = process.threadCpuUsage(before);
  const time = (user + system) / 1000;
  return time > LIMIT ? `it took ${Math.round(time)} ms` : "";
}

async function fuzz(): Promise<void> {
  const { values } = parseArgs({ options: { seconds: { type: "string" }, seed: { type: "string" } } });
  const first = Number(values.seed ?? Date.now() % 1_000_000);
  const end = performance.now() + Number(values.seconds ?? 120) * 1000;
  const corpus = readCorpus();
  let worker = startWorker();
  let count = 0;
  for (let seed = first; performance.now() < end; seed += 1) {
    for (const input of inputs(seed, corpus)) {
      const fault = await ask(worker, input);
      count += 1;
      if (fault === "") continue;
      await worker.terminate();
      worker = startWorker();
      const isLost = fault.startsWith("it did not end");
      const smallest = isLost ? input : await shrink(input, async (candidate) => (await exercise(candidate)) !== "");
      const file = `fuzz-${seed}.Dockerfile`;
      writeFileSync(file, smallest);
      console.log(`seed ${seed}: ${fault}\nwritten to ${file}`);
      process.exitCode = 1;
      await worker.terminate();
      return;
    }
    console.log(`seed ${seed}: ${count} inputs`);
  }
  await worker.terminate();
}

function startWorker(): Worker {
  return new Worker(new URL(import.meta.url), { execArgv: process.execArgv });
}

function ask(worker: Worker, input: Input): Promise<string> {
  return new Promise((resolve) => {
    const finish = (fault: string): void => {
      clearTimeout(timer);
      worker.off("message", finish).off("exit", exited);
      resolve(fault);
    };
    const exited = (code: number): void => finish(`it ended the process with ${code}`);
    const timer = setTimeout(() => finish(`it did not end within ${TIMEOUT / 1000} s`), TIMEOUT);
    worker.on("message", finish).on("exit", exited);
    worker.postMessage(input, []);
  });
}

function inputs(seed: number, corpus: readonly string[]): readonly Input[] {
  return [
    ...fc.sample(dockerfileText, { seed, numRuns: 300 }),
    ...fc.sample(mutated(corpus), { seed, numRuns: 300 }),
    ...fc.sample(anyBytes, { seed, numRuns: 100 }),
    ...fc.sample(repetition, { seed, numRuns: 3 }).map((each) => repeat(each, LARGE)),
  ];
}

/** The Dockerfiles of the parser's fixtures and of the examples. */
function readCorpus(): readonly string[] {
  const root = join(import.meta.dirname, "..");
  return ["packages/dockerfile/test/fixtures", "packages/dockerfile/test/mistakes", "examples"].flatMap((folder) =>
    readdirSync(join(root, folder), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => readFileSync(join(root, folder, name, "Dockerfile"), "utf8").slice(0, 10_000)),
  );
}

/** Takes pieces away, halves first, as long as what is left still fails; gives up after a hundred tries. */
async function shrink(input: Input, fails: (candidate: Input) => Promise<boolean>): Promise<Input> {
  let smallest = input;
  let tries = 0;
  for (let size = Math.ceil(input.length / 2); size >= 1 && tries < 100; size = Math.floor(size / 2)) {
    for (let at = 0; at < smallest.length && tries < 100; at += size, tries += 1) {
      const candidate = without(smallest, at, at + size);
      if (await fails(candidate)) smallest = candidate;
    }
  }
  return smallest;
}

function without(input: Input, start: number, end: number): Input {
  if (typeof input === "string") return input.slice(0, start) + input.slice(end);
  return Buffer.concat([input.subarray(0, start), input.subarray(end)]);
}
