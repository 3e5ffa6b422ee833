import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type RunStep, type Step, stepDefinition } from "@varve/graph";
import { type FileTree, orderEntries, resolvePath } from "@varve/layer";
import { StepError } from "../errors.ts";
import type { StepInput } from "../explain/current-build.ts";
import { openMounts, type OpenMounts } from "../mounts/open-mounts.ts";
import { mountInputs } from "../mounts/mount-inputs.ts";
import { createOutputTail } from "../output-tail.ts";
import type { MadeEntries, StepWork } from "../resolve.ts";
import type { Rootfs } from "../rootfs.ts";
import { detectEmulator } from "../run/detect-emulator.ts";
import { groundFor } from "../run-places.ts";
import type { BindMount, RunCommand, Runner } from "../runner.ts";
import type { Session } from "../session.ts";
import type { Snapshot } from "../snapshotter.ts";
import { lookupUser, type User } from "../users.ts";

/** BuildKit's name for the machine that RUN sees. */
const HOSTNAME = "buildkitsandbox";
const SCRIPT_DIRECTORY = "/dev/pipes";

/** RUN: a process on a writable snapshot of the rootfs beneath; what it changed is the layer. */
export function createRunWork(step: RunStep, session: Session, resolve: (step: Step) => Promise<Rootfs>): StepWork {
  const definition = stepDefinition(step);
  let mounted: Promise<readonly StepInput[]> | undefined;
  const mounts = (): Promise<readonly StepInput[]> => (mounted ??= mountInputs(step, session));
  return {
    cheapParts: async () => ({
      definition,
      inputs: (await mounts()).map((input) => (input.type === "step" ? input.step : input.digest)),
      parent: step.parent,
    }),
    preciseKey: undefined,
    inputs: mounts,
    make: () => run(step, session, resolve),
  };
}

async function run(step: RunStep, session: Session, resolve: (step: Step) => Promise<Rootfs>): Promise<MadeEntries> {
  detectEmulator(step.platform);
  const runner = await session.runner();
  runner.prepare?.();
  const base = await session.layers.extractedTree(await resolve(step.parent));
  const { tree } = base;
  const snapshotter = await session.snapshotter();
  const place = await session.runPlaces.take();
  const snapshot = await snapshotter.prepare({ ...base, ground: groundFor(place, tree) }, place.snapshot);
  try {
    const user = lookupUser(step.user, tree);
    makeWorkdir(snapshot, step, tree);
    await using mounts = await openMounts(step, { session, resolve, tree });
    await runProcess(step, { session, runner, snapshot, user, mounts, scratch: place.scratch });
    const entries = await snapshot.diff();
    const dispose = async (): Promise<void> => {
      // What can't be removed goes with all that the store has of this process.
      session.background.add(snapshot.clear().catch(() => undefined));
      session.runPlaces.leave(place);
    };
    return { entries: () => orderEntries(entries), keep: (path) => snapshot.commit(path), dispose };
  } catch (error) {
    await snapshot[Symbol.asyncDispose]();
    throw error;
  }
}

/** The directory that the process starts in, made where the image names one that it does not have. */
function makeWorkdir(snapshot: Snapshot, step: RunStep, tree: FileTree): void {
  const { path, entry } = resolvePath(tree, step.workdir, { followLast: true });
  if (entry === undefined) mkdirSync(join(snapshot.rootfs, path), { recursive: true, mode: 0o755 });
}

interface ProcessContext {
  readonly session: Session;
  readonly runner: Runner;
  readonly snapshot: Snapshot;
  readonly user: User;
  readonly mounts: OpenMounts;
  readonly scratch: string;
}

async function runProcess(step: RunStep, context: ProcessContext): Promise<void> {
  const { session, runner, snapshot, user, mounts, scratch } = context;
  const { options } = session;
  const script = writeScript(step, scratch);
  const env = [...step.env, ...step.proxyEnv, ...mounts.env];
  const command: RunCommand = {
    args: step.args,
    env: env.some((pair) => pair.startsWith("HOME=")) ? env : [...env, `HOME=${user.home}`],
    workdir: step.workdir,
    uid: user.uid,
    gid: user.gid,
    additionalGids: [...user.additionalGids, user.gid],
    mounts: [...mounts.mounts, ...(script === undefined ? [] : [script])],
    network: step.network === "none" ? "none" : "host",
    security: step.security,
    devices: step.devices,
    hostname: step.hostname ?? HOSTNAME,
    extraHosts: step.extraHosts,
    ulimits: step.ulimits,
    shmSize: step.shmSize,
  };
  const tail = createOutputTail();
  const { exitCode } = await runner.run(command, {
    rootfs: snapshot.rootfs,
    scratch,
    signal: options.signal,
    onOutput: (stream, chunk) => {
      tail.add(chunk);
      options.onEvent({ type: "step-output", step, stream, chunk });
    },
  });
  if (exitCode !== 0) throw commandFailed(step, exitCode, tail.lines());
}

/** A heredoc with an interpreter line is a program of its own: written to a file that the process sees. */
function writeScript(step: RunStep, scratch: string): BindMount | undefined {
  if (step.script === undefined) return undefined;
  const source = join(scratch, "script");
  writeFileSync(source, step.script.content);
  chmodSync(source, 0o755);
  const target = `${SCRIPT_DIRECTORY}/${step.script.name}`;
  return { type: "bind", source, target, readonly: true };
}

function commandFailed(step: RunStep, exitCode: number, lines: readonly string[]): StepError {
  const shown = lines.length === 0 ? "" : `\n${lines.map((line) => `  ${line}`).join("\n")}`;
  const command = step.args.join(" ");
  return new StepError(
    "COMMAND_FAILED",
    `Cannot build: process "${command}" did not complete successfully: exit code: ${exitCode}${shown}`,
    { exitCode },
  );
}
