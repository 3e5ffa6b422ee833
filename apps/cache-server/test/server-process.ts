/** The server as a process of its own, to be ended in all ways. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface ServerProcess {
  readonly url: string;
  readonly child: ChildProcess;
  /** Lines that it logs, as they come. */
  readonly log: readonly string[];
  /** Sends a signal and gives the exit code, null where the signal ended it. */
  end(signal: "SIGTERM" | "SIGKILL"): Promise<number | null>;
}

const MAIN = fileURLToPath(new URL("../src/main.ts", import.meta.url));
const RUN = `import(${JSON.stringify(MAIN)}).then(({ main }) => main(process.argv.slice(1)))`;

/** Words for Node that run `varve-cache` from its sources; its own words follow. */
export const MAIN_SCRIPT: readonly string[] = ["--conditions=@varve/source", "-e", RUN, "--"];

/** Starts `varve-cache` from its sources with these words of the command line, and waits for its address. */
export async function startProcess(args: readonly string[]): Promise<ServerProcess> {
  const child = spawn(process.execPath, [...MAIN_SCRIPT, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const log: string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => log.push(line));
  const exited = once(child, "exit").then(([code]) => code as number | null);
  const lines = createInterface({ input: child.stdout });
  const url = await Promise.race([
    once(lines, "line").then(([line]) => String(line)),
    exited.then((code) => Promise.reject(new Error(`varve-cache ended with ${code}: ${log.join("\n")}`))),
  ]);
  return {
    url,
    child,
    log,
    end(signal) {
      child.kill(signal);
      return exited;
    },
  };
}
