import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import { StepError } from "../errors.ts";
import type { Attachment, RunOptions } from "../runner.ts";
import { killDescendants, signalChildren } from "./kill-processes.ts";

export interface ProcessOptions extends Pick<RunOptions, "signal" | "onOutput" | "attachment"> {
  /** Whom a signal for the process is sent to: the program started here, which is it or hands it on, or its children. */
  readonly signalled?: "program" | "children";
  /** Open files that the program gets as 3 and up. */
  readonly files?: readonly number[];
  /** Ends what the process left behind; called when it has ended, and before its output is taken as complete. */
  readonly afterExit?: () => void;
}

/** Milliseconds between attempts to end what was cancelled, and until the program itself is ended. */
const KILL_INTERVAL = 20;
const KILL_PROGRAM_AFTER = 2000;
/** What the programs around a process get to see: nothing of a service's or a user's environment shapes a build. */
const PASSED_ON = ["PATH", "LD_LIBRARY_PATH"];

/**
 * Runs a program of this machine to its end and gives its exit code, 128 + signal where one ended it. When `signal`
 * fires, the processes beneath the program are killed, so that it can clean up after them, and it only if it stays.
 * @throws StepError `RUNNER_FAILED` where it could not be started, `CANCELLED` where `signal` ended it.
 */
export async function runProcess(program: string, args: readonly string[], options: ProcessOptions): Promise<number> {
  throwIfCancelled(options.signal);
  const env = programEnvironment();
  const child =
    options.attachment === undefined
      ? spawnTold(program, args, { ...options, env })
      : spawnAttached(program, args, { ...options, attachment: options.attachment, env });
  if (options.afterExit !== undefined) child.once("exit", options.afterExit);
  using _ = killOnAbort(child, options.signal);
  const exitCode = await ended(child, program);
  throwIfCancelled(options.signal);
  return exitCode;
}

/** The environment of programs around a process. */
export function programEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(PASSED_ON.map((name) => [name, process.env[name]]));
}

interface Spawning extends ProcessOptions {
  readonly env: NodeJS.ProcessEnv;
}

function spawnTold(program: string, args: readonly string[], { env, onOutput, files }: Spawning): ChildProcess {
  // A session of its own: Ctrl-C in a terminal reaches varve alone, which then ends what it runs.
  const stdio = ["ignore", "pipe", "pipe", ...(files ?? [])] as const;
  const child = spawn(program, args, { stdio: [...stdio], detached: true, env });
  child.stdout?.on("data", (chunk: Buffer) => onOutput("stdout", chunk));
  child.stderr?.on("data", (chunk: Buffer) => onOutput("stderr", chunk));
  return child;
}

function spawnAttached(
  program: string,
  args: readonly string[],
  { env, attachment, signalled, files }: Spawning & { readonly attachment: Attachment },
): ChildProcess {
  const { input, terminal, onStart } = attachment;
  // In a terminal's session it can be the one that the terminal belongs to.
  const child = spawn(program, args, {
    stdio: [input === "standard" ? "inherit" : "ignore", "inherit", "inherit", ...(files ?? [])],
    detached: !terminal,
    env,
  });
  onStart((signal) => {
    if (signalled !== "children") child.kill(signal);
    else if (child.pid !== undefined) signalChildren(child.pid, signal);
  });
  return child;
}

/** @throws StepError `CANCELLED` where the signal has fired. */
export function throwIfCancelled(signal: AbortSignal): void {
  if (!signal.aborted) return;
  throw new StepError("CANCELLED", "Cannot finish the step: the build was cancelled", { cause: signal.reason });
}

function ended(child: ChildProcess, program: string): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once("error", (cause) =>
      reject(new StepError("RUNNER_FAILED", `Cannot start "${program}": ${cause.message}`, { cause })),
    );
    child.once("close", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}

/** Kills the processes beneath `child` when the signal fires, until disposal; then `child` itself, where there are none or it stays. */
export function killOnAbort(child: ChildProcess, signal: AbortSignal): Disposable {
  let timer: NodeJS.Timeout | undefined;
  const onAbort = (): void => {
    const since = Date.now();
    const kill = (): void => {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
      const wasFound = killDescendants(child.pid);
      if (!wasFound || Date.now() - since > KILL_PROGRAM_AFTER) child.kill("SIGKILL");
    };
    timer = setInterval(kill, KILL_INTERVAL);
    kill();
  };
  signal.addEventListener("abort", onAbort, { once: true });
  return {
    [Symbol.dispose]() {
      signal.removeEventListener("abort", onAbort);
      clearInterval(timer);
    },
  };
}
