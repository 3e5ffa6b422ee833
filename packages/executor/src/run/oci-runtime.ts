import { execFile, execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StepError } from "../errors.ts";
import type { RunCommand, Runner, RunOptions } from "../runner.ts";
import { writeHostFiles } from "./host-files.ts";
import { createMountPoints, type MountPoints } from "./mount-points.ts";
import { killGroup, runProcess } from "./run-process.ts";
import { createRuntimeConfig, type RuntimeConfig } from "./runtime-config.ts";
import { inUserNamespace } from "./user-namespace.ts";

const SYSTEM_DIRECTORIES = ["/proc", "/dev", "/sys"];
const SYSTEM_FILES = ["/etc/resolv.conf", "/etc/hosts"];
/** Exit code of runc and crun, and of shells, for a program that is not there. */
const NOT_FOUND = 127;

/** Runs processes with an OCI runtime: a bundle for each, made in the run's scratch directory. */
export function createOciRuntime(name: "runc" | "crun", program: string): Runner {
  return { name, run: (command, options) => run(command, { ...options, name, program }) };
}

type RuntimeOptions = RunOptions & { readonly name: "runc" | "crun"; readonly program: string };

async function run(command: RunCommand, options: RuntimeOptions): Promise<{ readonly exitCode: number }> {
  using points = createMountPoints(options.rootfs);
  const config = createRuntimeConfig(command, {
    rootfs: options.rootfs,
    files: writeHostFiles(options.scratch, command),
    rootless: inUserNamespace(),
  });
  makeMountPoints(points, command);
  writeBundle(options.scratch, config);
  const id = `varve-${randomUUID()}`;
  const state = join(options.scratch, "state");
  mkdirSync(state, { mode: 0o700 });
  const log = join(options.scratch, "log.json");
  const cgroups = options.name === "crun" ? ["--cgroup-manager=disabled"] : [];
  const global = ["--root", state, "--log", log, "--log-format", "json", ...cgroups];
  const exitCode = await runProcess(options.program, [...global, "run", "--bundle", options.scratch, id], {
    signal: options.signal,
    onOutput: options.onOutput,
    kill(pid) {
      execFile(options.program, [...global, "delete", "--force", id], () => killGroup(pid));
    },
  });
  return { exitCode: exitCode === 0 ? 0 : explainFailure(log, { exitCode, command, onOutput: options.onOutput }) };
}

function makeMountPoints(points: MountPoints, command: RunCommand): void {
  for (const target of SYSTEM_DIRECTORIES) points.make(target, "directory");
  for (const target of SYSTEM_FILES) points.make(target, "file");
  for (const mount of command.mounts) {
    if (SYSTEM_DIRECTORIES.some((directory) => mount.target.startsWith(`${directory}/`))) continue;
    points.make(mount.target, mount.type === "bind" && !statSync(mount.source).isDirectory() ? "file" : "directory");
  }
}

function writeBundle(scratch: string, config: RuntimeConfig): void {
  writeFileSync(join(scratch, "config.json"), JSON.stringify(config));
}

interface Failure {
  readonly exitCode: number;
  readonly command: RunCommand;
  readonly onOutput: RunOptions["onOutput"];
}

/**
 * Tells a runtime's own failure from the process': only the runtime writes errors to the log. A program that is not
 * there is the process' failure all the same.
 */
function explainFailure(log: string, { exitCode, command, onOutput }: Failure): number {
  const messages = existsSync(log) ? readErrors(readFileSync(log, "utf8")) : [];
  if (messages.length === 0) return exitCode;
  const message = messages.join("; ");
  if (
    /executable file.*not found|no such file or directory|not found in \$PATH|permission denied/i.test(message) &&
    /exec/i.test(message)
  ) {
    onOutput("stderr", Buffer.from(`${command.args[0] ?? ""}: not found or not executable in the image\n`));
    return NOT_FOUND;
  }
  throw new StepError("RUNNER_FAILED", `Cannot start the process: ${message}`, {
    hint: "Try another runner with --runner, or see varve doctor",
  });
}

function readErrors(log: string): string[] {
  return log.split("\n").flatMap((line) => {
    try {
      const { level, msg } = JSON.parse(line) as { level?: string; msg?: string };
      return (level === "error" || level === "fatal") && msg !== undefined ? [msg] : [];
    } catch {
      return [];
    }
  });
}

/** Path of a program on this machine's PATH, or undefined. */
export function findProgram(name: string): string | undefined {
  const directories = [...(process.env["PATH"] ?? "").split(":"), "/usr/sbin", "/sbin", "/usr/bin"];
  return directories.map((directory) => join(directory, name)).find((path) => existsSync(path));
}

/** Why this runtime can't run here, or undefined where it answers. */
export function runtimeProblem(program: string | undefined, name: string): string | undefined {
  if (program === undefined) return `there is no program ${name}`;
  try {
    execFileSync(program, ["--version"], { stdio: "ignore" });
    return undefined;
  } catch (cause) {
    return `${program} --version fails: ${(cause as Error).message}`;
  }
}
