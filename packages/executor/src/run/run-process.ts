import { spawn } from "node:child_process";
import { constants } from "node:os";
import { StepError } from "../errors.ts";
import type { RunOptions } from "../runner.ts";

export interface ProcessOptions extends Pick<RunOptions, "signal" | "onOutput"> {
  /** Ends all that the process started; called once when the signal fires. */
  readonly kill: (pid: number) => void;
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * Runs a program of this machine to its end and gives its exit code, 128 + signal where one ended it.
 * @throws StepError `RUNNER_FAILED` where it could not be started, `CANCELLED` where `signal` ended it.
 */
export async function runProcess(program: string, args: readonly string[], options: ProcessOptions): Promise<number> {
  options.signal.throwIfAborted();
  const child = spawn(program, args, {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
    env: options.env ?? process.env,
  });
  child.stdout.on("data", (chunk: Buffer) => options.onOutput("stdout", chunk));
  child.stderr.on("data", (chunk: Buffer) => options.onOutput("stderr", chunk));
  const onAbort = (): void => {
    if (child.pid !== undefined) options.kill(child.pid);
  };
  options.signal.addEventListener("abort", onAbort, { once: true });
  try {
    const exitCode = await new Promise<number>((resolve, reject) => {
      child.once("error", (cause) =>
        reject(new StepError("RUNNER_FAILED", `Cannot start "${program}": ${cause.message}`, { cause })),
      );
      child.once("close", (code, signal) => resolve(code ?? 128 + signalNumber(signal)));
    });
    if (!options.signal.aborted) return exitCode;
  } finally {
    options.signal.removeEventListener("abort", onAbort);
  }
  throw new StepError("CANCELLED", "Cannot finish the step: the build was cancelled", { cause: options.signal.reason });
}

function signalNumber(signal: NodeJS.Signals | null): number {
  return signal === null ? 0 : constants.signals[signal];
}

/** Ends a process and its process group. */
export function killGroup(pid: number): void {
  for (const target of [-pid, pid]) {
    try {
      process.kill(target, "SIGKILL");
    } catch {
      // It has ended.
    }
  }
}
