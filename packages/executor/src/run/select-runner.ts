import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { StepError } from "../errors.ts";
import type { RunCommand, Runner, RunOptions } from "../runner.ts";
import { createChrootRunner } from "./chroot.ts";
import { findProgram } from "./find-program.ts";
import { holdOutput } from "./hold-output.ts";
import { createDeviceCgroups, type DeviceCgroups } from "./device-cgroups.ts";
import { createOciRuntime } from "./oci-runtime.ts";
import { probeRunner } from "./probe-runner.ts";
import { createUnshareRunner, USUAL_RULES } from "./unshare.ts";
import { inUserNamespace } from "./user-namespace.ts";

type RunnerName = Runner["name"];

/** In the order in which `auto` tries them. All but the last isolate alike, and unshare takes a fifth of runc's time. */
const NAMES: readonly RunnerName[] = ["unshare", "runc", "crun", "chroot"];
/**
 * For root where unshare can make no device cgroup: it lets no device work then that a RUN makes, where runc and crun let
 * the harmless ones work, which debootstrap makes. And for a single process, which they start sooner.
 */
const RUNTIMES_FIRST: readonly RunnerName[] = ["runc", "crun", "unshare", "chroot"];
/** Milliseconds within which a runner that does not work here has said so. */
const HOLD = 300;
const HINTS: Readonly<Record<RunnerName, string>> = {
  runc: "install runc",
  crun: "install crun",
  unshare:
    "install util-linux, and let varve make namespaces: as root with CAP_SYS_ADMIN, or as a user with user namespaces",
  chroot: "run as root with CAP_SYS_CHROOT",
};

/** What trying a runner out found. */
export interface RunnerProbe {
  readonly name: RunnerName;
  /** Why it can't be used here; undefined where it can. */
  readonly problem: string | undefined;
  /** What would make it work. */
  readonly hint: string;
  /** How it differs here from what it is elsewhere; undefined where it does not, or can't be used. */
  readonly note: string | undefined;
}

interface Candidate {
  readonly name: RunnerName;
  readonly runner: Runner | undefined;
  readonly problem: string;
}

/** Tries every runner out on this machine, in the order in which `auto` does for a build. */
export async function probeRunners(): Promise<readonly RunnerProbe[]> {
  const cgroups = createDeviceCgroups();
  return Promise.all(
    findRunners(namesToTry(cgroups, false), cgroups).map(async ({ name, runner, problem: absence }) => {
      const problem = runner === undefined ? absence : await probeRunner(runner);
      const note = name === "unshare" && problem === undefined ? describeDevices(cgroups) : undefined;
      await runner?.close?.();
      return { name, problem, hint: HINTS[name], note };
    }),
  );
}

function describeDevices(cgroups: DeviceCgroups): string | undefined {
  if (inUserNamespace()) return undefined;
  const problem = cgroups.problemWith(USUAL_RULES);
  if (problem === undefined) return "with a device cgroup";
  return `without a device cgroup, so that no device works that a RUN makes: ${problem}`;
}

/**
 * The runner of this name; `auto`: the first that works here. Whether one works is found out by its first run: where
 * it fails to start a process, it is tried out by itself, and if it does not work the next one takes its place.
 * Such a run, and this function where not even a program is there, throws StepError `RUNNER_UNAVAILABLE` saying for
 * each why not and what to do. `single`: the runner is for one process, not for those of a build.
 */
export async function selectRunner(
  name: "auto" | RunnerName,
  { single = false }: { readonly single?: boolean } = {},
): Promise<Runner> {
  const cgroups = createDeviceCgroups();
  const found = findRunners(name === "auto" ? namesToTry(cgroups, single) : [name], cgroups);
  const problems = found.filter(({ runner }) => runner === undefined);
  const [first, ...others] = found.flatMap(({ runner }) => runner ?? []);
  if (first === undefined) throw unavailable(problems);
  return createFallingRunner([first, ...others], problems);
}

function createFallingRunner(runners: readonly [Runner, ...Runner[]], missing: readonly Candidate[]): Runner {
  const problems = [...missing];
  let position = 0;
  const run: Runner["run"] = async (command, options) => {
    for (;;) {
      const runner = runners[position];
      if (runner === undefined) throw unavailable(problems);
      const result = await attempt(runner, command, options);
      if (!("problem" in result)) return result;
      // Of steps that find out at the same time, the first one moves on for all.
      if (runners[position] !== runner) continue;
      problems.push({ name: runner.name, runner, problem: result.problem });
      position += 1;
    }
  };
  return {
    get name() {
      return (runners[position] ?? runners[0]).name;
    },
    prepare: () => runners[position]?.prepare?.(),
    run,
    async close() {
      for (const each of runners) await each.close?.();
    },
  };
}

/** @throws StepError where the runner works, but this command does not with it. */
async function attempt(
  runner: Runner,
  command: RunCommand,
  options: RunOptions,
): Promise<{ readonly exitCode: number } | { readonly problem: string }> {
  // What an attached process' runner says reaches the user at once, so it is tried out before.
  const known = options.attachment === undefined ? undefined : await probeRunner(runner);
  if (known !== undefined) return { problem: known };
  const scratch = join(options.scratch, runner.name);
  mkdirSync(scratch, { recursive: true });
  const output = holdOutput(options.onOutput, HOLD);
  try {
    const result = await runner.run(command, { ...options, scratch, onOutput: output.onOutput });
    output.release();
    return result;
  } catch (error) {
    const problem = isRunnerFailure(error) ? await probeRunner(runner) : undefined;
    if (problem !== undefined) output.drop();
    output.release();
    if (problem === undefined) throw error;
    return { problem };
  }
}

function isRunnerFailure(error: unknown): boolean {
  return error instanceof StepError && error.code === "RUNNER_FAILED";
}

function unavailable(problems: readonly Candidate[]): StepError {
  const order = problems.toSorted((a, b) => NAMES.indexOf(a.name) - NAMES.indexOf(b.name));
  const reasons = order.map(({ name, problem }) => `${name}: ${problem}`).join("; ");
  const hints = order.map(({ name }) => `${HINTS[name]} (${name})`).join("; or ");
  return new StepError("RUNNER_UNAVAILABLE", `Cannot run commands here: ${reasons}`, {
    hint: `${hints.charAt(0).toUpperCase()}${hints.slice(1)}; varve doctor tries them all`,
  });
}

function namesToTry(cgroups: DeviceCgroups, single: boolean): readonly RunnerName[] {
  if (inUserNamespace()) return NAMES;
  if (single || findProgram("unshare") === undefined) return RUNTIMES_FIRST;
  return cgroups.problemWith(USUAL_RULES) === undefined ? NAMES : RUNTIMES_FIRST;
}

function findRunners(names: readonly RunnerName[], cgroups: DeviceCgroups): readonly Candidate[] {
  return names.map((name) => {
    if (name === "chroot") return { name, runner: createChrootRunner(), problem: "" };
    const program = findProgram(name);
    if (program === undefined) return { name, runner: undefined, problem: `there is no program ${name}` };
    return { name, runner: createRunner(name, program, cgroups), problem: "" };
  });
}

function createRunner(name: Exclude<RunnerName, "chroot">, program: string, cgroups: DeviceCgroups): Runner {
  switch (name) {
    case "runc":
    case "crun":
      return createOciRuntime(name, program);
    case "unshare":
      return createUnshareRunner(program, cgroups);
    default:
      return name satisfies never;
  }
}
