/** Times one process from outside, with the peak memory that the system counted for it. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A finished run. */
export interface Outcome {
  /** Wall-clock milliseconds from start to exit. */
  readonly wall: number;
  /** Largest resident set in KiB of any process that the command waited for; undefined without GNU time. */
  readonly peak: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

const TIME = "/usr/bin/time";
const hasTime = existsSync(TIME);

/** Runs a command to its end. @throws Error where it exits with another code than 0. */
export async function measure(
  command: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Outcome> {
  const directory = mkdtempSync(join(tmpdir(), "varve-measure-"));
  const file = join(directory, "peak");
  const [program = "", ...args] = hasTime ? [TIME, "-o", file, "-f", "%M", ...command] : command;
  try {
    const started = performance.now();
    const child = spawn(program, args, { env: { ...process.env, ...options.env }, stdio: ["ignore", "pipe", "pipe"] });
    const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    let wall = 0;
    child.once("exit", () => (wall = performance.now() - started));
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    const errors = Buffer.concat(stderr).toString("utf8");
    if (code !== 0) throw new Error(`"${command.join(" ")}" ended with ${code}:\n${errors.slice(-2000)}`);
    const peak = hasTime ? Number(readFileSync(file, "utf8").trim()) : undefined;
    return { wall, peak, stdout: Buffer.concat(stdout).toString("utf8"), stderr: errors };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The middle value; of an even number the upper of the two. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
