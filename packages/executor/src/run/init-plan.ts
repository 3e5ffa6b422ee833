import type { RunCommand } from "../runner.ts";

/** One mount for the init program to make, in order. `target` is absolute on this machine. */
export interface InitMount {
  readonly type: string;
  readonly source: string;
  readonly target: string;
  /** MS_ bits of sys/mount.h. */
  readonly flags: number;
  readonly options?: string;
  /** Bind mounts are made read-only by a second call. */
  readonly readonly?: boolean;
}

/** What the init program is told, as JSON: all that lies between a new namespace and the process itself. */
export interface InitPlan {
  readonly rootfs: string;
  readonly mounts: readonly InitMount[];
  readonly hostname: string | undefined;
  /** Brings the loopback interface up, in a network namespace of its own. */
  readonly loopback: boolean;
  /** Numbers of capabilities that the process must not have. */
  readonly dropped: readonly number[];
  readonly command: RunCommand;
}
