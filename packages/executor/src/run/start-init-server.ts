import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { extname, join } from "node:path";
import type { Socket } from "node:net";
import { StepError } from "../errors.ts";
import { createOutputTail } from "../output-tail.ts";
import type { InitMessage } from "./init-request.ts";
import { programEnvironment } from "./run-process.ts";
import type { StartFailure } from "./start-failure.ts";

/** How a process ended that an init server was asked for. */
export interface InitReply {
  /** 128 + signal where one ended it. */
  readonly exitCode: number;
  /** Why it could not be started. */
  readonly failure: StartFailure | undefined;
}

/** A program that becomes processes, one after the other. It does not keep this process alive, and ends with it. */
export interface InitServer {
  readonly child: ChildProcess;
  isAlive(): boolean;
  /** Whether the process last asked for was about to begin. */
  hasBegun(): boolean;
  /** Sends an `InitRequest` as JSON; the answer comes when the process has ended. @throws StepError `RUNNER_FAILED` where the server ends instead. */
  ask(request: string): Promise<InitReply>;
  /** Ends it, which must wait for no process. */
  end(): Promise<void>;
}

/** Otherwise Node has threads that work for the one that forks itself, and the forked process has none. */
const THREADLESS = ["--single-threaded", "--v8-pool-size=0"];
/** No process lives long enough for its code to be made faster. */
const UNOPTIMIZED = ["--no-sparkplug", "--no-maglev", "--no-opt"];

/** Where an init server runs. */
export interface InitServerPlace {
  /** The path of the program that puts it into a mount namespace of its own. */
  readonly unshare: string;
  /** Directories of the cgroup that keeps it and its processes from devices; without it, none works that they make. */
  readonly cgroup: readonly string[];
}

/** Starts init-server.ts. */
export function startInitServer(place: InitServerPlace): InitServer {
  const child = spawnServer(place);
  const tail = createOutputTail();
  child.stderr?.on("data", (chunk: Buffer) => tail.add(chunk));
  // The next request fails as well, with more to say.
  child.stdin?.on("error", () => undefined);
  let pending: PromiseWithResolvers<InitReply> | undefined;
  let text = "";
  let hasBegun = false;
  let failure: StartFailure | undefined;
  const take = (message: InitMessage): void => {
    if ("hasBegun" in message) hasBegun = true;
    else if ("failure" in message) ({ failure } = message);
    else pending?.resolve({ ...message, failure });
  };
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    const lines = `${text}${chunk}`.split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) take(JSON.parse(line) as InitMessage);
  });
  let ended: StepError | undefined;
  const closed = Promise.withResolvers<void>();
  const end = (cause?: Error): void => {
    closed.resolve();
    ended ??= serverEnded([...tail.lines(), ...(cause === undefined ? [] : [cause.message])].join("; "), cause);
    pending?.reject(ended);
  };
  child.once("error", end).once("close", () => end());
  return {
    child,
    hasBegun: () => hasBegun,
    isAlive: () => ended === undefined && child.exitCode === null && child.signalCode === null,
    ask(request) {
      pending = Promise.withResolvers();
      [hasBegun, failure] = [false, undefined];
      if (ended !== undefined) pending.reject(ended);
      child.stdin?.write(`${request}\n`);
      return pending.promise;
    },
    async end() {
      for (const each of [child, child.stdout as Socket | null, child.stderr as Socket | null]) each?.ref();
      child.stdin?.end();
      await closed.promise;
    },
  };
}

function spawnServer({ unshare, cgroup }: InitServerPlace): ChildProcess {
  const program = join(import.meta.dirname, `init-server${extname(import.meta.filename)}`);
  const server = [process.execPath, ...THREADLESS, ...UNOPTIMIZED, "--expose-gc", program, ...cgroup];
  const args = ["--mount", "--pid", "--fork", "--", ...server];
  const mounts = openSync("/proc/self/ns/mnt", "r");
  try {
    // In a session of its own: Ctrl-C in a terminal reaches varve alone, which then ends what it runs.
    const child = spawn(unshare, args, {
      stdio: ["pipe", "pipe", "pipe", mounts],
      detached: true,
      env: programEnvironment(),
    });
    child.unref();
    for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as Socket).unref();
    return child;
  } finally {
    closeSync(mounts);
  }
}

function serverEnded(said: string, cause: Error | undefined): StepError {
  return new StepError("RUNNER_FAILED", `Cannot start the process: varve's init ended: ${said}`, {
    cause,
    hint: "Try another runner with --runner, or see varve doctor",
  });
}
