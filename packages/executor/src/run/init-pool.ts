import { chmodSync, closeSync, constants, existsSync, openSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { mknod } from "@varve/layer";
import type { RunOptions } from "../runner.ts";
import { killOnAbort, throwIfCancelled } from "./run-process.ts";
import { encodeRuntimeConfig, type RuntimeConfig } from "./runtime-config.ts";
import { concludeFailure } from "./start-failure.ts";
import { type InitReply, type InitServer, startInitServer } from "./start-init-server.ts";

/** Runs processes with init servers, as many of them as there were processes at once. Disposal ends the servers. */
export interface InitPool extends AsyncDisposable {
  /** Starts a server for processes in a cgroup, so that the first one need not wait for it. */
  prepare(cgroup: readonly string[]): void;
  /**
   * Runs the process of `config`, which names namespaces, in the cgroup with these directories; none: in this process'.
   * Gives undefined where it did not begin, as a forked Node may break.
   * @throws StepError as `Runner.run`.
   */
  run(config: RuntimeConfig, options: PoolRunOptions): Promise<{ readonly exitCode: number } | undefined>;
}

export interface PoolRunOptions extends RunOptions {
  readonly cgroup: readonly string[];
}

/** include/uapi/linux/stat.h. */
const S_IFIFO = 0o010000;
/** For all, as a user that the process becomes may open its streams again by /dev/stdout. */
const PIPE_MODE = 0o666;

interface PlacedServer extends InitServer {
  readonly cgroup: readonly string[];
}

/** A pool whose servers are put into a mount namespace of their own by `unshare`, a path. */
export function createInitPool(unshare: string): InitPool {
  let idle: readonly PlacedServer[] = [];
  const start = (cgroup: readonly string[]): PlacedServer => ({ ...startInitServer({ unshare, cgroup }), cgroup });
  const runOn = async (
    server: PlacedServer,
    config: RuntimeConfig,
    options: RunOptions,
  ): ReturnType<InitPool["run"]> => {
    const reply = await ask(server, config, options);
    idle = [...idle, server];
    throwIfCancelled(options.signal);
    if (reply.failure !== undefined) return concludeFailure(reply.failure, options.onOutput);
    return server.hasBegun() ? { exitCode: reply.exitCode } : undefined;
  };
  return {
    prepare(cgroup) {
      if (idle.length === 0) idle = [start(cgroup)];
    },
    async run(config, options) {
      throwIfCancelled(options.signal);
      const { cgroup } = options;
      const waiting = idle.find((each) => each.cgroup === cgroup && each.isAlive());
      idle = idle.filter((each) => each !== waiting && each.isAlive());
      if (waiting === undefined) return runOn(start(cgroup), config, options);
      try {
        return await runOn(waiting, config, options);
      } catch (error) {
        // It may have ended while it waited, and we did not hear of it yet.
        if (waiting.isAlive() || options.signal.aborted || waiting.hasBegun()) throw error;
        return runOn(start(cgroup), config, options);
      }
    },
    async [Symbol.asyncDispose]() {
      const ending = idle.map((each) => each.end());
      idle = [];
      await Promise.all(ending);
    },
  };
}

async function ask(server: InitServer, config: RuntimeConfig, options: RunOptions): Promise<InitReply> {
  const { scratch, signal, onOutput } = options;
  const [stdout, stderr] = [join(scratch, "stdout"), join(scratch, "stderr")];
  await using stack = new AsyncDisposableStack();
  stack.use(openPipe(stdout, (chunk) => onOutput("stdout", chunk)));
  stack.use(openPipe(stderr, (chunk) => onOutput("stderr", chunk)));
  stack.use(killOnAbort(server.child, signal));
  const places = JSON.stringify({ stdout, stderr });
  try {
    return await server.ask(`{"config":${encodeRuntimeConfig(config)},${places.slice(1)}`);
  } catch (error) {
    throwIfCancelled(signal);
    throw error;
  }
}

/**
 * A named pipe at `path`, where an earlier run may have left it, to be opened by others. Disposal comes when they have
 * ended, and reads what they wrote to its end.
 */
function openPipe(path: string, onChunk: (chunk: Buffer) => void): AsyncDisposable {
  if (!existsSync(path)) makeNamedPipe(path);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  // Without a writer of our own the pipe would be at its end before others open it.
  const writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  const socket = new Socket({ fd: reader, readable: true, writable: false });
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.on("data", onChunk);
  return {
    async [Symbol.asyncDispose]() {
      closeSync(writer);
      await closed;
    },
  };
}

function makeNamedPipe(path: string): void {
  mknod(path, S_IFIFO | PIPE_MODE, { major: 0, minor: 0 });
  // The umask took some of it.
  chmodSync(path, PIPE_MODE);
}
