import type { RunOptions } from "../runner.ts";

type OnOutput = RunOptions["onOutput"];

/** Output that is held back for a while. */
export interface HeldOutput {
  readonly onOutput: OnOutput;
  /** Passes on what was held back and what comes. */
  release(): void;
  /** Forgets what was held back, and passes nothing on. */
  drop(): void;
}

/**
 * Holds output back for `milliseconds` at most, so that what a runner says where it fails at once is not taken for what
 * the process says.
 */
export function holdOutput(onOutput: OnOutput, milliseconds: number): HeldOutput {
  const held: Parameters<OnOutput>[] = [];
  let target: OnOutput = (...output) => void held.push(output);
  const release = (): void => {
    clearTimeout(timer);
    target = onOutput;
    for (const output of held.splice(0)) onOutput(...output);
  };
  const timer = setTimeout(release, milliseconds);
  return {
    onOutput: (...output) => target(...output),
    release,
    drop() {
      clearTimeout(timer);
      held.length = 0;
    },
  };
}
