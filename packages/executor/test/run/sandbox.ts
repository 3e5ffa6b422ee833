import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { RunCommand, Runner } from "../../src/runner.ts";
import { COMMAND } from "./command.ts";
import { fillRootfs } from "./rootfs.ts";

/** A temporary directory of this test's own. */
export function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), "varve-test-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A rootfs with busybox in /bin and nothing else. */
export function makeRootfs(): string {
  const rootfs = join(temporary(), "rootfs");
  fillRootfs(rootfs);
  return rootfs;
}

export interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Place {
  readonly rootfs: string;
  readonly scratch: string;
  readonly signal?: AbortSignal;
  readonly onOutput?: (stream: "stdout" | "stderr", text: string) => void;
}

/** Runs a shell script, or the args that `command` has, and collects what it says. */
export async function runIn(runner: Runner, script: string | Partial<RunCommand>, place: Place): Promise<Outcome> {
  const command = typeof script === "string" ? { args: ["sh", "-c", script] } : script;
  const said = { stdout: "", stderr: "" };
  mkdirSync(place.scratch, { recursive: true });
  const { exitCode } = await runner.run(
    { ...COMMAND, ...command },
    {
      rootfs: place.rootfs,
      scratch: place.scratch,
      signal: place.signal ?? new AbortController().signal,
      onOutput(stream, chunk) {
        const text = Buffer.from(chunk).toString("utf8");
        said[stream] += text;
        place.onOutput?.(stream, text);
      },
    },
  );
  return { exitCode, ...said };
}

/** Every path of a tree with type, mode, owner, size and modification time. */
export function listTree(directory: string): string {
  const { stdout } = spawnSync("find", [directory, "-printf", "%P %y %m %U:%G %s %T@ %l\n"], { encoding: "utf8" });
  return stdout.split("\n").toSorted().join("\n");
}

let markers = 0;

/** Seconds that a process may sleep for by which it can be told from all others; what is left of it ends with the test. */
export function sleepMarker(): string {
  markers += 1;
  const marker = `300.${process.pid}${markers}`;
  onTestFinished(() => {
    for (const id of processesWith(marker)) process.kill(id, "SIGKILL");
  });
  return marker;
}

/** Ids of processes whose command line has `text`. */
export function processesWith(text: string): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((id) => Number.isInteger(id) && id !== process.pid && commandLine(id).includes(text));
}

function commandLine(id: number): string {
  try {
    return readFileSync(`/proc/${id}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

/** Mounts of this process beneath a directory. */
export function mountsBeneath(directory: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => (line.split(" ")[4] ?? "").startsWith(directory));
}
