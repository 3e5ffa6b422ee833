import { StepError } from "../errors.ts";
import type { RunOptions } from "../runner.ts";
import type { ProgramProblem } from "./program-error.ts";

/** Why a process could not be started: the image's program does not, or the runner failed. */
export interface StartFailure {
  readonly kind: ProgramProblem | "runner";
  readonly message: string;
}

/** As shells have it: POSIX, Shell Command Language, "Exit Status for Commands". */
const EXIT_CODES: Readonly<Record<ProgramProblem, number>> = { missing: 127, denied: 126 };

/**
 * What a failed start comes to: where the image is at fault, a line on the step's stderr and a shell's exit code.
 * @throws StepError `RUNNER_FAILED` where the runner is.
 */
export function concludeFailure(
  { kind, message }: StartFailure,
  onOutput: RunOptions["onOutput"],
): { readonly exitCode: number } {
  if (kind === "runner") {
    throw new StepError("RUNNER_FAILED", `Cannot start the process: ${message}`, {
      hint: "Try another runner with --runner, or see varve doctor",
    });
  }
  onOutput("stderr", Buffer.from(`${message}\n`));
  return { exitCode: EXIT_CODES[kind] };
}
