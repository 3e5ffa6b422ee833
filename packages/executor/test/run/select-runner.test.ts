import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { probeRunners, selectRunner } from "../../src/run/select-runner.ts";
import { makeRootfs, runIn, temporary } from "./sandbox.ts";

const path = process.env["PATH"];
let programs = "";

beforeEach(() => {
  programs = temporary();
  process.env["PATH"] = `${programs}:${path}`;
});

afterEach(() => {
  process.env["PATH"] = path;
});

/** Puts a program of this name first in PATH that fails as a runtime does which the machine does not suit. */
function breakProgram(name: string): void {
  const script = `#!/bin/sh\nwhile [ "$1" != --log ]; do shift || exit 1; done\necho broken >&2; echo '{"level":"error","msg":"${name} is broken"}' >>"$2"\nexit 1\n`;
  writeFileSync(join(programs, name), script, { mode: 0o755 });
}

const run = async (name: Parameters<typeof selectRunner>[0], script: string): ReturnType<typeof runIn> =>
  runIn(await selectRunner(name), script, { rootfs: makeRootfs(), scratch: temporary() });

test("selectRunner() gives the first that works", async () => {
  const runner = await selectRunner("auto");
  onTestFinished(() => runner.close?.());
  expect(runner.name).toBe("unshare");
  const rootfs = makeRootfs();
  for (const code of [0, 5]) {
    const place = { rootfs, scratch: temporary() };
    expect((await runIn(runner, `exit ${code}`, place)).exitCode).toBe(code);
  }
  expect(runner.name).toBe("unshare");
});

test("selectRunner() goes on to the next where one can't start a process, for concurrent steps too", async () => {
  breakProgram("unshare");
  const runner = await selectRunner("auto");
  const runs = ["echo 1", "echo 2"].map((script) =>
    runIn(runner, script, { rootfs: makeRootfs(), scratch: temporary() }),
  );
  expect((await Promise.all(runs)).map(({ stdout, stderr }) => stdout + stderr)).toEqual(["1\n", "2\n"]);
  expect(runner.name).toBe("runc");
  await runner.close?.();
});

test("a runner that was asked for and does not work is named with what to do", async () => {
  breakProgram("runc");
  await expect(run("runc", "true")).rejects.toMatchObject({
    code: "RUNNER_UNAVAILABLE",
    message: expect.stringContaining("runc: Cannot start the process: runc is broken"),
    hint: expect.stringContaining("Install runc"),
  });
});

test("a command that a working runner can't start keeps its own error", async () => {
  const rootfs = makeRootfs();
  const source = join(temporary(), "source");
  mkdirSync(source);
  const mounts = [{ type: "bind", source, target: "/bin/busybox", readonly: true }] as const;
  const runner = await selectRunner("auto");
  const running = runIn(runner, { args: ["true"], mounts }, { rootfs, scratch: temporary() });
  await expect(running).rejects.toMatchObject({ code: "RUNNER_FAILED" });
  expect(runner.name).toBe("unshare");
  await runner.close?.();
});

test("probeRunners() tries every runner", async () => {
  breakProgram("crun");
  const probes = await probeRunners();
  expect(probes.map(({ name }) => name)).toEqual(["unshare", "runc", "crun", "chroot"]);
  const problems = new Map(probes.map(({ name, problem }) => [name, problem]));
  expect(problems.get("runc")).toBeUndefined();
  expect(problems.get("crun")).toContain("crun is broken");
  expect(problems.get("unshare")).toBeUndefined();
  expect(probes[0]?.note).toBe("with a device cgroup");
  expect(problems.get("chroot")).toBeUndefined();
});
