import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { mknod } from "@varve/layer";
import type { RunCommand, Runner } from "../../src/runner.ts";
import { makeDeviceCgroup } from "../../src/run/device-cgroup.ts";
import { createDeviceCgroups } from "../../src/run/device-cgroups.ts";
import { deviceRules, splitDevice } from "../../src/run/device-rules.ts";
import { findCgroups } from "../../src/run/find-cgroups.ts";
import { findProgram } from "../../src/run/find-program.ts";
import { createOciRuntime } from "../../src/run/oci-runtime.ts";
import { createUnshareRunner } from "../../src/run/unshare.ts";
import { makeRootfs, type Outcome, runIn, temporary } from "./sandbox.ts";

const S_IFBLK = 0o060000;
/** A disk of this machine, with a file of our own as its content: losetup(8). */
const directory = mkdtempSync(join(tmpdir(), "varve-test-"));
writeFileSync(join(directory, "image"), Buffer.alloc(4096, 1));
const disk = execFileSync("losetup", ["--find", "--show", join(directory, "image")], { encoding: "utf8" }).trim();
const { major, minor } = splitDevice(statSync(disk).rdev);
const places = findCgroups();
const unified = places.filter(({ version }) => version === 2);
const rules = deviceRules({ security: "sandbox", devices: [] });

const runners: readonly (readonly [name: string, runner: Runner])[] = [
  ["unshare", createUnshareRunner("unshare")],
  [
    "unshare with cgroups of version 2",
    createUnshareRunner(
      "unshare",
      createDeviceCgroups((list) => makeDeviceCgroup(list, unified)),
    ),
  ],
  ["runc", createOciRuntime("runc", findProgram("runc") ?? "runc")],
];

afterAll(async () => {
  for (const [, runner] of runners) await runner.close?.();
  execFileSync("losetup", ["--detach", disk]);
  rmSync(directory, { recursive: true });
});

const run = (runner: Runner, script: string | Partial<RunCommand>, rootfs: string = makeRootfs()): Promise<Outcome> =>
  runIn(runner, script, { rootfs, scratch: temporary() });

describe.each(runners)("%s", (_, runner) => {
  test("lets the harmless devices work that the process makes", async () => {
    const made = [
      ["null", "c 1 3", "echo test >/null && cat /null && echo works"],
      ["zero", "c 1 5", "head -c 2 /zero | wc -c"],
      ["random", "c 1 8", "head -c 2 /random | wc -c"],
      ["dev/ptmx2", "c 5 2", "exec 3<>/dev/ptmx2 && echo works"],
    ];
    const script = made.map(([name, number, use]) => `mknod -m 666 /${name} ${number} && ${use}`).join(" && ");
    expect(await run(runner, script)).toEqual({ exitCode: 0, stdout: "works\n2\n2\nworks\n", stderr: "" });
  });

  test("keeps the process from the machine's disk, by a device that it makes or that the image brings", async () => {
    const rootfs = makeRootfs();
    mknod(join(rootfs, "brought"), S_IFBLK | 0o666, { major, minor });
    const use = (path: string): string => `head -c 1 ${path}; echo x >${path}`;
    const script = `${use("/brought")}; mknod -m 666 /disk b ${major} ${minor} && ${use("/disk")}; mknod /dev/memory c 1 1; head -c 1 /dev/memory`;
    const { stdout, stderr } = await run(runner, script, rootfs);
    expect(stdout).toBe("");
    expect(stderr.match(/Operation not permitted/g)).toHaveLength(5);
  });

  test("allows all devices to an insecure process, beside one that may not use them", async () => {
    const script = `mknod /disk b ${major} ${minor} && head -c 1 /disk | wc -c`;
    const insecure = { args: ["sh", "-c", script], security: "insecure" } as const;
    const outcomes = await Promise.all([run(runner, insecure), run(runner, script), run(runner, insecure)]);
    expect(outcomes.map(({ stdout }) => stdout)).toEqual(["1\n", "0\n", "1\n"]);
  });

  test("lets the process neither change its cgroup nor leave it", async () => {
    const rootfs = makeRootfs();
    addProgram(rootfs, "/usr/bin/unshare");
    const mount =
      "mkdir -p /1 /2; mount -t cgroup -o devices none /1; mount -t cgroup2 none /2; mount -o remount,rw /sys";
    const change =
      "for d in /1 /2 /sys/fs/cgroup; do echo a >$d/devices.allow; echo 0 >$d/../cgroup.procs; done; ls /2 | { while read f; do case $f in *varve*) echo found $f; esac; done; }";
    const use = `mknod /disk b ${major} ${minor}; head -c 1 /disk`;
    // With all privileges of a user namespace, a process can mount its own cgroup.
    const inner = `(${mount}; ${change}; echo 0 >/2/cgroup.procs) 2>/dev/null; head -c 1 /disk`;
    const script = `(${mount}; ${change}) 2>/dev/null; ${use}; exec /usr/bin/unshare -U -r -m -C sh -c '${inner}'`;
    const { stdout, stderr } = await run(runner, script, rootfs);
    expect(stdout).toBe("");
    expect(stderr.match(/disk.*Operation not permitted/g)).toHaveLength(2);
  });
});

function addProgram(rootfs: string, program: string): void {
  const libraries = execFileSync("ldd", [program], { encoding: "utf8" }).matchAll(/(\/\S+) \(0x/g);
  for (const path of [program, ...[...libraries].flatMap(([, library]) => library ?? [])]) {
    mkdirSync(join(rootfs, dirname(path)), { recursive: true });
    copyFileSync(path, join(rootfs, path));
  }
}

describe("makeDeviceCgroup()", () => {
  test("makes a cgroup in each hierarchy, which remove() takes away, with what processes made in it", async () => {
    const cgroup = makeDeviceCgroup(rules);
    expect(cgroup.directories.map(dirname)).toEqual(places.map(({ directory }) => directory));
    for (const directory of cgroup.directories) mkdirSync(join(directory, "inner"));
    await cgroup.remove();
    expect(cgroup.directories.filter((each) => existsSync(each))).toEqual([]);
  });

  test("leaves nothing behind where it fails", () => {
    const [first] = places;
    const list = (): readonly string[] =>
      readdirSync(first?.directory ?? "").filter(
        (each) => each.startsWith(`varve-devices-`) && each.includes(`-${process.pid}-`),
      );
    const before = list();
    const missing = { version: 2, controllers: [], directory: "/no/such/cgroup" } as const;
    expect(() => makeDeviceCgroup(rules, [...places, missing])).toThrow("/no/such/cgroup");
    expect(() => makeDeviceCgroup(rules, [])).toThrow("no cgroup file system with devices is mounted");
    expect(list()).toEqual(before);
  });

  test("removes what a killed process left, and nothing of one that lives", async () => {
    const program = `
      import { makeDeviceCgroup } from ${JSON.stringify(join(import.meta.dirname, "../../src/run/device-cgroup.ts"))};
      console.log(makeDeviceCgroup([{ allow: false, access: "rwm" }]).directories[0]);
      setInterval(() => {}, 1000);`;
    const child = spawn(
      process.execPath,
      ["--conditions=@varve/source", "--input-type=module-typescript", "-e", program],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    const directory = line.toString().trim();
    await makeDeviceCgroup(rules).remove();
    expect(existsSync(directory)).toBe(true);
    const closed = once(child, "close");
    child.kill("SIGKILL");
    await closed;
    await makeDeviceCgroup(rules).remove();
    expect([basename(directory), existsSync(directory)]).toEqual([expect.stringMatching(/^varve-devices-/), false]);
  });
});

test("unshare lets no device work that the process makes where there is no cgroup", async () => {
  const cgroups = createDeviceCgroups(() => {
    throw new Error("read-only");
  });
  expect(cgroups.problemWith(rules)).toBe("read-only");
  const runner = createUnshareRunner("unshare", cgroups);
  const { stdout, stderr } = await run(
    runner,
    "mknod /null c 1 3; mknod /dev/zero2 c 1 5; cat /null; cat /dev/zero2; echo x >/dev/null && echo works",
  );
  await runner.close?.();
  expect(stdout).toBe("works\n");
  expect(stderr.match(/Permission denied/g)).toHaveLength(2);
});
