import { randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunCommand, Runner, RunOptions } from "../runner.ts";
import { writeHostFiles } from "./host-files.ts";
import { createMountPoints, makeMountPoints } from "./mount-points.ts";
import { programError, type ProgramProblem } from "./program-error.ts";
import { runProcess } from "./run-process.ts";
import { createRuntimeConfig, encodeRuntimeConfig } from "./runtime-config.ts";
import { concludeFailure, type StartFailure } from "./start-failure.ts";
import { fitToNamespace, inUserNamespace } from "./user-namespace.ts";

export type RuntimeName = "runc" | "crun";

/**
 * How they treat a machine whose cgroups are not theirs: runc goes on without where it is refused. crun makes none in a
 * user namespace; root's processes need one, for it keeps them from the machine's devices.
 */
function cgroupFlag(name: RuntimeName, userNamespace: boolean): string {
  if (name === "runc") return "--rootless=true";
  return `--cgroup-manager=${userNamespace ? "disabled" : "cgroupfs"}`;
}

/** Runs processes with an OCI runtime (`program` is its path): a bundle for each, in the run's scratch directory. */
export function createOciRuntime(name: RuntimeName, program: string): Runner {
  return { name, run: async (command, options) => run({ name, program }, fitToNamespace(command), options) };
}

interface Runtime {
  readonly name: RuntimeName;
  readonly program: string;
}

async function run(
  { name, program }: Runtime,
  command: RunCommand,
  options: RunOptions,
): Promise<{ readonly exitCode: number }> {
  const { scratch, signal, onOutput } = options;
  const userNamespace = inUserNamespace();
  const config = createRuntimeConfig(command, {
    rootfs: options.rootfs,
    hostFiles: writeHostFiles(scratch, command),
    userNamespace,
    terminal: options.attachment?.terminal === true,
  });
  writeFileSync(join(scratch, "config.json"), encodeRuntimeConfig(config), { mode: 0o600 });
  const id = `varve-${randomUUID()}`;
  const [state, log] = [join(scratch, "state"), join(scratch, "log.json")];
  mkdirSync(state, { recursive: true, mode: 0o700 });
  // Of an earlier run.
  rmSync(log, { force: true });
  using points = createMountPoints(options.rootfs);
  makeMountPoints(points, config.mounts);
  const global = ["--root", state, "--log", log, "--log-format", "json", cgroupFlag(name, userNamespace)];
  const args = [...global, "run", "--bundle", scratch, id];
  const exitCode = await runProcess(program, args, {
    signal,
    onOutput,
    ...(options.attachment === undefined ? {} : { attachment: options.attachment }),
  });
  const failure = exitCode === 0 ? undefined : readFailure(log, command.args[0] ?? "");
  if (failure?.kind === "runner") removeCgroup(id);
  return failure === undefined ? { exitCode } : concludeFailure(failure, onOutput);
}

/** crun leaves a cgroup behind where it fails half-way. */
function removeCgroup(id: string): void {
  try {
    rmdirSync(join("/sys/fs/cgroup", id));
  } catch {
    // There is none.
  }
}

/** Tells a runtime's own failure from the process': only the runtime writes errors to its log. */
function readFailure(log: string, program: string): StartFailure | undefined {
  const message = readErrors(log).join("; ");
  if (message === "") return undefined;
  const problem = programProblem(message);
  return problem === undefined
    ? { kind: "runner", message }
    : { kind: problem, message: programError(problem, program).message };
}

/** What runc and crun say where they look for the program and do not find it. */
function programProblem(message: string): ProgramProblem | undefined {
  if (!/exec(utable|:| )/i.test(message)) return undefined;
  if (/not found|no such file or directory/i.test(message)) return "missing";
  return /permission denied/i.test(message) ? "denied" : undefined;
}

function readErrors(log: string): readonly string[] {
  return readOr(log, "")
    .split("\n")
    .flatMap((line) => {
      const { level, msg } = parseLine(line);
      return (level === "error" || level === "fatal") && msg !== undefined ? [msg] : [];
    });
}

function parseLine(line: string): { readonly level?: string; readonly msg?: string } {
  try {
    return JSON.parse(line) as { level?: string; msg?: string };
  } catch {
    return {};
  }
}

function readOr(file: string, fallback: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return fallback;
  }
}
