import type { RuntimeConfig } from "./runtime-config.ts";
import type { StartFailure } from "./start-failure.ts";

/** What varve writes to its init server, as a line of JSON: a process to become, and files of varve's mount namespace. */
export interface InitRequest {
  readonly config: RuntimeConfig;
  /** Pipes that become the process' streams. */
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * What the init server answers, as lines of JSON: that it is about to become the process, or why it can't, or first the
 * one and then the other; and last how it ended, 128 + signal where one ended it.
 */
export type InitMessage =
  | { readonly hasBegun: true }
  | { readonly failure: StartFailure }
  | { readonly exitCode: number };
