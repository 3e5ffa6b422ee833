import type { Flag, Parsed } from "./flags.ts";

/** What a command does, and what its help says. */
export interface Command {
  /** What stands behind `varve NAME`, such as `[OPTIONS] PATH`. */
  readonly usage: string;
  /** Sentences of the help. */
  readonly description: string;
  readonly flags: readonly Flag[];
  /** Whole command lines. */
  readonly examples: readonly string[];
  /** Mounts, or gives files owners: an ordinary user's process enters a user namespace first. */
  readonly entersNamespace?: boolean;
  /** Words behind the first one that is no flag are another program's, whatever they look like. */
  readonly startsProgram?: boolean;
  /** Signals are its own: `signal` never fires. */
  readonly handlesSignals?: boolean;
  /** Gives the exit code: 0 done, 1 failed. What it throws is printed, and decides the exit code. */
  run(flags: Parsed, signal: AbortSignal): Promise<number>;
}

/** A command before its code is read, so that no command waits for another's. */
export interface CommandEntry {
  /** One word or two: `build`, `cache du`. */
  readonly name: string;
  /** A line of `varve help`. */
  readonly summary: string;
  readonly load: () => Promise<Command>;
}
