import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { createInitPool, type InitPool } from "../../src/run/init-pool.ts";
import { makeMountPoints, createMountPoints } from "../../src/run/mount-points.ts";
import { createRuntimeConfig } from "../../src/run/runtime-config.ts";
import type { RunCommand } from "../../src/runner.ts";
import { COMMAND } from "./command.ts";
import { makeRootfs, type Outcome, runIn, sleepMarker, temporary } from "./sandbox.ts";

const NONE: readonly string[] = [];

/** Runs a shell script with the pool. */
async function run(pool: InitPool, script: string, more: Partial<RunCommand> = {}): Promise<Outcome> {
  const rootfs = makeRootfs();
  const runner = {
    name: "unshare",
    async run(command, options) {
      const config = createRuntimeConfig(command, { rootfs, hostFiles: [], userNamespace: false });
      using points = createMountPoints(rootfs);
      makeMountPoints(points, config.mounts);
      const result = await pool.run(config, { ...options, cgroup: NONE });
      if (result === undefined) throw new Error("The process did not begin");
      return result;
    },
  } as const satisfies Parameters<typeof runIn>[0];
  return runIn(runner, { ...COMMAND, ...more, args: ["sh", "-c", script] }, { rootfs, scratch: temporary() });
}

/** Process ids of the servers that this process started, and that live. */
function servers(): readonly number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((id) => Number.isInteger(id) && isServer(id));
}

function isServer(id: number): boolean {
  try {
    const parent = /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${id}/status`, "utf8"))?.[1];
    return Number(parent) === process.pid && readFileSync(`/proc/${id}/cmdline`, "utf8").includes("init-server");
  } catch {
    return false;
  }
}

/** The server itself, which `unshare` started. */
function childOf(id: number): number {
  return Number(readFileSync(`/proc/${id}/task/${id}/children`, "utf8"));
}

/** Those that there were not `before`. */
const newServers = (before: readonly number[]): readonly number[] => servers().filter((id) => !before.includes(id));

test("a pool runs processes one after the other with one server, and as many at once as there are", async () => {
  const before = servers();
  await using pool = createInitPool("unshare");
  for (let count = 0; count < 40; count += 1)
    expect(await run(pool, `echo ${count}; exit ${count}`)).toEqual({
      exitCode: count,
      stdout: `${count}\n`,
      stderr: "",
    });
  expect(newServers(before)).toHaveLength(1);
  const outcomes = await Promise.all([1, 2, 3].map((count) => run(pool, `echo ${count} >&2`)));
  expect(outcomes.map(({ stderr }) => stderr)).toEqual(["1\n", "2\n", "3\n"]);
  expect(newServers(before)).toHaveLength(3);
});

test("a pool starts its first server before it is needed", async () => {
  const before = servers();
  await using pool = createInitPool("unshare");
  pool.prepare(NONE);
  pool.prepare(NONE);
  expect(newServers(before)).toHaveLength(1);
  await run(pool, "true");
  expect(newServers(before)).toHaveLength(1);
});

test("a pool takes a process of any size", async () => {
  const env = Array.from({ length: 40 }, (_, number) => `V${number}=${"x".repeat(10_000)}`);
  await using pool = createInitPool("unshare");
  const { stdout } = await run(pool, "env | wc -c", { env: ["PATH=/bin", ...env] });
  expect(Number(stdout)).toBeGreaterThan(400_000);
});

test("a pool goes on where its server was ended between two processes, and fails the process where it is while it runs", async () => {
  const before = servers();
  await using pool = createInitPool("unshare");
  await run(pool, "true");
  const end = (): void => {
    for (const id of newServers(before)) process.kill(childOf(id), "SIGKILL");
  };
  end();
  expect(await run(pool, "exit 3")).toMatchObject({ exitCode: 3 });
  const running = run(pool, `sleep ${sleepMarker()}`);
  setTimeout(end, 300);
  await expect(running).rejects.toMatchObject({ code: "RUNNER_FAILED" });
});

test("a pool says why its server can't be started", async () => {
  await expect(run(createInitPool("/no/unshare"), "true")).rejects.toMatchObject({
    code: "RUNNER_FAILED",
    message: expect.stringContaining("ENOENT"),
  });
});

test("a pool ends its servers", async () => {
  const before = servers();
  const pool = createInitPool("unshare");
  await Promise.all([run(pool, "true"), run(pool, "true")]);
  expect(newServers(before)).toHaveLength(2);
  await pool[Symbol.asyncDispose]();
  expect(newServers(before)).toHaveLength(0);
});
