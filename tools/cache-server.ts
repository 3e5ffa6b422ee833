/** Starts varve-cache as a user does: a process of its own on a free port of the loopback. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";

const bin = join(import.meta.dirname, "..", "apps", "cache-server", "bin", "varve-cache.js");

/** A server that runs. */
export interface RunningCacheServer {
  readonly url: string;
  readonly process: ChildProcess;
  /** Ends it and waits for that; `SIGKILL` leaves it no time. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export interface CacheServerOptions {
  /** Its data directory. */
  readonly data: string;
  /** 0 or left out: any that is free. */
  readonly port?: number;
  /** Default: `--anonymous write`. */
  readonly args?: readonly string[];
}

/** Starts a server and waits until it listens. */
export async function startCacheServer({ data, port = 0, args }: CacheServerOptions): Promise<RunningCacheServer> {
  const words = ["--port", String(port), "--data", data, ...(args ?? ["--anonymous", "write"])];
  const child = spawn(process.execPath, [bin, ...words], { stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const url = await addressOf(child);
  child.stdout.resume();
  child.stderr.resume();
  return {
    url,
    process: child,
    async stop(signal = "SIGTERM") {
      child.kill(signal);
      await ended;
    },
  };
}

function addressOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const onData = (chunk: Buffer): void => {
      text += chunk.toString("utf8");
      const found = /^(http:\/\/\S+)$/m.exec(text)?.[1];
      if (found !== undefined) resolve(found);
    };
    child.stdout?.on("data", onData);
    child.stderr?.on("data", onData);
    child.once("exit", (code) => reject(new Error(`varve-cache ended with ${code}:\n${text}`)));
  });
}
