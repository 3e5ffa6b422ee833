/** Why the image's program does not start: there is none, or it may not or can't be executed. */
export type ProgramProblem = "missing" | "denied";

/** Thrown where the program of a command can't be executed; its message is for the step's stderr. */
export class ProgramError extends Error {
  readonly problem: ProgramProblem;

  constructor(problem: ProgramProblem, message: string) {
    super(message);
    this.problem = problem;
  }
}

/** A program of this name that was looked for in vain, or found and not allowed. */
export function programError(problem: ProgramProblem, name: string): ProgramError {
  return new ProgramError(problem, `${name}: ${problem === "missing" ? "not found in the image" : "not executable"}`);
}
