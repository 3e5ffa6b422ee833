import type { RuntimeConfig } from "./runtime-config.ts";
import type { StartFailure } from "./start-failure.ts";

/** What varve writes to its init server, as a line of JSON: a process to become, and files of varve's mount namespace. */
export interface InitRequest {
  readonly config: RuntimeConfig;
  /** Pipes that become the process' streams. */
  readonly stdout: string;
  readonly stderr: string;
  /** Gets a `StartFailure` where the process can't be started, and is emptied right before it is. */
  readonly failureFile: string;
}

/** What the init server answers, as a line of JSON, when the process has ended. */
export type InitReply = { readonly exitCode: number } | { readonly failure: StartFailure };
