import { ProgramError } from "./program-error.ts";
import type { StartFailure } from "./start-failure.ts";

/** What varve's init tells of an error that kept it from becoming the process. */
export function describeFailure(error: unknown): StartFailure {
  const { message } = error as Error;
  return { kind: error instanceof ProgramError ? error.problem : "runner", message };
}
