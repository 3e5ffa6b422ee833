import { spawnSync } from "node:child_process";
import { StepError } from "../errors.ts";
import type { Runner } from "../runner.ts";
import { chrootProblem, createChrootRunner, createUnshareRunner, unshareProblem } from "./node-runner.ts";
import { createOciRuntime, findProgram, runtimeProblem } from "./oci-runtime.ts";

type RunnerName = Runner["name"];

/** In the order in which `auto` tries them. */
const NAMES: readonly RunnerName[] = ["runc", "crun", "unshare", "chroot"];

/** What a runner's check found. */
export interface RunnerProbe {
  readonly name: RunnerName;
  /** Why it can't be used here; undefined where it can. */
  readonly problem: string | undefined;
}

/** Checks every runner on this machine. */
export function probeRunners(): readonly RunnerProbe[] {
  return NAMES.map((name) => ({ name, problem: problemOf(name) }));
}

/**
 * The runner of this name; `auto`: the first that works here.
 * @throws StepError `RUNNER_UNAVAILABLE` saying why each that was tried does not.
 */
export async function selectRunner(name: "auto" | RunnerName): Promise<Runner> {
  const problems: string[] = [];
  for (const each of name === "auto" ? NAMES : [name]) {
    const problem = problemOf(each);
    if (problem === undefined) return createRunner(each);
    problems.push(`${each}: ${problem}`);
  }
  throw new StepError("RUNNER_UNAVAILABLE", `Cannot run commands here: ${problems.join("; ")}`, {
    hint: "Install runc or crun, or let varve make namespaces; varve doctor tells more",
  });
}

function createRunner(name: RunnerName): Runner {
  switch (name) {
    case "runc":
    case "crun":
      return createOciRuntime(name, findProgram(name) ?? name);
    case "unshare":
      return createUnshareRunner();
    case "chroot":
      return createChrootRunner();
    default:
      return name satisfies never;
  }
}

function problemOf(name: RunnerName): string | undefined {
  switch (name) {
    case "runc":
    case "crun":
      return runtimeProblem(findProgram(name), name) ?? namespaceProblem();
    case "unshare":
      return unshareProblem();
    case "chroot":
      return chrootProblem();
    default:
      return name satisfies never;
  }
}

let checked: { readonly problem: string | undefined } | undefined;

/** OCI runtimes need a mount namespace; asking the kernel for one is the truth, and cheap. */
function namespaceProblem(): string | undefined {
  checked ??= {
    problem:
      spawnSync("unshare", ["--mount", "true"]).status === 0
        ? undefined
        : "the kernel gives this process no mount namespace",
  };
  return checked.problem;
}
