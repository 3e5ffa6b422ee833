import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";

const BIN = join(import.meta.dirname, "../bin/varve.js");
/** Makes the Node that runs the bin say that it is an old one; one that the bin starts says the truth. */
const AS_OLD_NODE = `data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.1.0"}})`;
/** More than what lies between two processes can hold: it is written once the other reads, and so has set up its signals. */
const COMMENTS = "# comment\n".repeat(400_000);

function runAsOldNode(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  return spawnSync(process.execPath, ["--import", AS_OLD_NODE, BIN, ...args], {
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
}

async function until<T>(look: () => T | undefined): Promise<T> {
  for (let tries = 0; tries < 200; tries += 1) {
    const seen = look();
    if (seen !== undefined) return seen;
    await setTimeout(50);
  }
  throw new Error("Cannot go on: what was waited for did not come");
}

/** A build, with the old Node in a group of its own, that waits for the end of its Dockerfile on standard input. */
async function startWaitingBuild(): Promise<{ readonly parent: ChildProcess; readonly child: number }> {
  const store = mkdtempSync(join(tmpdir(), "varve-bin-"));
  const parent = spawn(process.execPath, ["--import", AS_OLD_NODE, BIN, "build", "-f", "-", store], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
    env: { ...process.env, VARVE_STORE: store },
  });
  await new Promise<void>((resolve, reject) => {
    parent.once("exit", () => reject(new Error("The build ended before it had its Dockerfile")));
    parent.stdin?.once("error", reject);
    parent.stdin?.write(COMMENTS, () => resolve());
  });
  const child = Number(readFileSync(`/proc/${parent.pid}/task/${parent.pid}/children`, "utf8"));
  onTestFinished(() => {
    parent.kill("SIGKILL");
    if (existsSync(`/proc/${child}`)) process.kill(child, "SIGKILL");
    rmSync(store, { recursive: true, force: true });
  });
  return { parent, child };
}

test("varve on an old Node without a newer one beside it says which is needed, and exits with 2", () => {
  const { status, stdout, stderr } = runAsOldNode(["--version"], { VARVE_REEXECUTED: "1" });
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  expect(stderr).toMatch(/^varve needs Node\.js 24 or newer; this is 20\.1\.0\. .*npx -p node@24.*\n$/);
});

test.each([
  { args: ["--version"], status: 0 },
  { args: ["no-such-command"], status: 2 },
])("varve $args on an old Node runs with the newer one beside it and takes over its exit code", ({ args, status }) => {
  const truth = spawnSync(process.execPath, [BIN, ...args], { encoding: "utf8" });
  const { stdout, stderr, ...old } = runAsOldNode(args);
  expect(old.status).toBe(status);
  expect({ stdout, stderr }).toEqual({ stdout: truth.stdout, stderr: truth.stderr });
});

test("varve on an old Node hands signals on and leaves no build behind", async () => {
  const { parent, child } = await startWaitingBuild();
  // Reading standard input can't be cancelled, so the first only asks; any further one ends at once.
  await until(() => {
    parent.kill("SIGTERM");
    return parent.exitCode ?? parent.signalCode ?? undefined;
  });
  expect(parent.exitCode).toBe(130);
  expect(existsSync(`/proc/${child}`)).toBe(false);
});

test("varve on an old Node lets a signal to the whole group reach the build once", async () => {
  const { parent, child } = await startWaitingBuild();
  process.kill(-(parent.pid ?? 0), "SIGTERM");
  await setTimeout(500);
  expect(parent.exitCode ?? parent.signalCode).toBe(null);
  expect(existsSync(`/proc/${child}`)).toBe(true);
});
