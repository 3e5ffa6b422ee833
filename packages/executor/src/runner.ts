/** A directory or file of this machine that a process sees at `target`. */
export interface BindMount {
  readonly type: "bind";
  readonly source: string;
  readonly target: string;
  readonly readonly: boolean;
}

export interface TmpfsMount {
  readonly type: "tmpfs";
  readonly target: string;
  /** Bytes; undefined: no limit. */
  readonly size: number | undefined;
}

/** A process to run in a root file system. */
export interface RunCommand {
  /** Program and arguments; the program is looked up in the PATH of `env` inside the rootfs. */
  readonly args: readonly string[];
  /** `NAME=value`. */
  readonly env: readonly string[];
  /** Absolute, inside the rootfs; exists. */
  readonly workdir: string;
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  /** Parents before children. Mount points that are absent are made for the run and gone from the rootfs after it. */
  readonly mounts: readonly (BindMount | TmpfsMount)[];
  /** `host`: the machine's network; `none`: loopback only. */
  readonly network: "host" | "none";
  readonly security: "sandbox" | "insecure";
  readonly devices: readonly string[];
  readonly hostname: string | undefined;
  /** Lines for /etc/hosts beyond the usual ones. */
  readonly extraHosts: readonly (readonly [name: string, address: string])[];
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly shmSize: number | undefined;
  /** Nothing but mounts can be written to. */
  readonly readonlyRootfs?: boolean;
}

/** A command of root's, in the sandbox, with the machine's network and nothing else. */
export function plainCommand(args: readonly string[], env: readonly string[]): RunCommand {
  return {
    args,
    env,
    workdir: "/",
    uid: 0,
    gid: 0,
    additionalGids: [],
    mounts: [],
    network: "host",
    security: "sandbox",
    devices: [],
    hostname: undefined,
    extraHosts: [],
    ulimits: [],
    shmSize: undefined,
  };
}

/** Ties a process to varve's own standard streams, in place of `onOutput`. */
export interface Attachment {
  /** `none`: there is nothing to read. */
  readonly input: "standard" | "none";
  /** The streams are a terminal, which the process gets as its own. */
  readonly terminal: boolean;
  /** Handed the way to send the process a signal, as soon as it is being started. */
  readonly onStart: (send: (signal: NodeJS.Signals) => void) => void;
}

export interface RunOptions {
  /** A writable directory that becomes "/". */
  readonly rootfs: string;
  /** A directory of this run's own, for bundle, hosts, resolv.conf; empty, or as an earlier run left it. */
  readonly scratch: string;
  /** Ends the process and all its children. */
  readonly signal: AbortSignal;
  readonly onOutput: (stream: "stdout" | "stderr", chunk: Uint8Array) => void;
  readonly attachment?: Attachment;
}

/** Something that runs a process in a rootfs: an OCI runtime, unshare or chroot. */
export interface Runner {
  readonly name: "runc" | "crun" | "unshare" | "chroot";
  /** Begins what the first run would wait for. */
  prepare?(): void;
  /** Ends what it keeps between runs. No run is under way then, and none follows. */
  close?(): Promise<void>;
  /**
   * Runs `command` to its end; gives the exit code (128 + signal where one ended it).
   * /proc, /sys, /dev, /etc/resolv.conf, /etc/hosts and mounts leave no trace in the rootfs.
   * @throws StepError `RUNNER_FAILED` where the process could not be started.
   */
  run(command: RunCommand, options: RunOptions): Promise<{ readonly exitCode: number }>;
}
