import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { RunCommand, Runner } from "../../src/runner.ts";
import { createChrootRunner } from "../../src/run/chroot.ts";
import { findProgram } from "../../src/run/find-program.ts";
import { createOciRuntime } from "../../src/run/oci-runtime.ts";
import { probeRunner } from "../../src/run/probe-runner.ts";
import { createUnshareRunner } from "../../src/run/unshare.ts";
import {
  listTree,
  makeRootfs,
  mountsBeneath,
  type Outcome,
  processesWith,
  runIn,
  sleepMarker,
  temporary,
} from "./sandbox.ts";

const all: readonly Runner[] = [
  createOciRuntime("runc", findProgram("runc") ?? "runc"),
  createOciRuntime("crun", findProgram("crun") ?? "crun"),
  createUnshareRunner("unshare"),
  createChrootRunner(),
];
const problems = await Promise.all(all.map(probeRunner));
afterAll(async () => {
  for (const runner of all) await runner.close?.();
});
const working = all.filter((_, position) => problems[position] === undefined);
const isolating = working.filter(({ name }) => name !== "chroot");
const bySandbox = "00000000a80425fb";

const temporaryForAll = mkdtempSync(join(tmpdir(), "varve-test-"));
afterAll(() => rmSync(temporaryForAll, { recursive: true, force: true }));

const run = (runner: Runner, script: string | Partial<RunCommand>, rootfs: string = makeRootfs()): Promise<Outcome> =>
  runIn(runner, script, { rootfs, scratch: temporary() });

test("the runners of the Debian packages work here, crun only with cgroups of version 2", () => {
  expect(working.map(({ name }) => name)).toEqual(expect.arrayContaining(["runc", "unshare", "chroot"]));
});

/** What the dynamic linker loads for a program, itself included. */
function librariesOf(program: string): readonly string[] {
  const { stdout } = spawnSync("ldd", [program], { encoding: "utf8" });
  return [...stdout.matchAll(/(\/\S+) \(0x/g)].flatMap(([, path]) => path ?? []);
}

describe.each(working.map((runner) => [runner.name, runner] as const))("%s", (_, runner) => {
  test.each([
    ["exit 0", 0],
    ["exit 7", 7],
    ["sh -c 'kill -9 $$'; exit $?", 137],
    ["sh -c 'kill -15 $$'; exit $?", 143],
  ])("gives the exit code of: %s", async (script, exitCode) => {
    expect((await run(runner, script)).exitCode).toBe(exitCode);
  });

  test("passes on the environment, and nothing of its own", async () => {
    const { stdout } = await run(runner, { args: ["env"], env: ["PATH=/bin", "A=1", "B=two words", "E=", "HOME=/h"] });
    expect(stdout.trim().split("\n").toSorted()).toEqual(["A=1", "B=two words", "E=", "HOME=/h", "PATH=/bin"]);
  });

  test("runs as user, group and further groups in the working directory, with the usual umask", async () => {
    const rootfs = makeRootfs();
    mkdirSync(join(rootfs, "work", "deep"), { recursive: true });
    const args = ["sh", "-c", "id -u; id -g; id; pwd; umask"];
    const ids = { uid: 1000, gid: 1001, additionalGids: [33, 44] };
    const { stdout } = await run(runner, { args, workdir: "/work/deep", ...ids }, rootfs);
    expect(stdout.split("\n")).toEqual([
      "1000",
      "1001",
      "uid=1000 gid=1001 groups=33,44,1001",
      "/work/deep",
      "0022",
      "",
    ]);
  });

  test("keeps the streams apart, each in order and whole", async () => {
    const lines = Array.from({ length: 2000 }, (_, number) => `line ${number}`);
    const script =
      'i=0; while [ $i -lt 2000 ]; do echo "line $i"; [ $((i % 2)) = 0 ] || echo "line $i" >&2; i=$((i+1)); done';
    const { stdout, stderr } = await run(runner, script);
    expect(stdout.trim().split("\n")).toEqual(lines);
    expect(stderr.trim().split("\n")).toEqual(lines.filter((_, number) => number % 2 === 1));
  });

  test("lets a writer into a closed pipe end by SIGPIPE", async () => {
    const { stdout } = await run(runner, "{ yes; echo $? >/code; } | head -n 1; cat /code");
    expect(stdout.split("\n")).toEqual(["y", "141", ""]);
  });

  test.each([
    [["/no/such/program"], 127, "/no/such/program: not found in the image"],
    [["nosuch"], 127, "nosuch: not found in the image"],
    [["/plain"], 126, "/plain: not executable"],
  ])("says that %j can't be executed", async (args, exitCode, message) => {
    const rootfs = makeRootfs();
    writeFileSync(join(rootfs, "plain"), "text", { mode: 0o644 });
    const outcome = await run(runner, { args }, rootfs);
    expect(outcome.exitCode).toBe(exitCode);
    expect(outcome.stderr).toContain(message);
  });

  test.each([
    ["#!/no/interpreter\n", /exec \/script: no such file or directory/i],
    ["no program", /exec \/script: exec format error/i],
  ])("says why the kernel does not execute %j", async (content, message) => {
    const rootfs = makeRootfs();
    writeFileSync(join(rootfs, "script"), content, { mode: 0o755 });
    const outcome = await run(runner, { args: ["/script"] }, rootfs);
    expect(outcome.exitCode).toBeGreaterThan(0);
    expect(outcome.stderr).toMatch(message);
  });

  test("leaves no trace of itself in the rootfs", async () => {
    const rootfs = makeRootfs();
    mkdirSync(join(rootfs, "etc"));
    writeFileSync(join(rootfs, "etc", "hosts"), "own\n");
    const mounted = join(temporary(), "file");
    writeFileSync(mounted, "x");
    const before = listTree(rootfs);
    const mounts = [
      { type: "bind", source: mounted, target: "/new/deep/file", readonly: true },
      { type: "tmpfs", target: "/cache/tmp", size: undefined },
      { type: "bind", source: mounted, target: "/dev/pipes/EOF", readonly: true },
    ] as const;
    const args = [
      "sh",
      "-c",
      "cat /etc/hosts /etc/resolv.conf /new/deep/file /dev/pipes/EOF >/dev/null; echo 1 >/cache/tmp/x",
    ];
    expect(await run(runner, { args, mounts }, rootfs)).toMatchObject({ exitCode: 0, stderr: "" });
    expect(listTree(rootfs)).toBe(before);
    expect(mountsBeneath(rootfs)).toEqual([]);
  });

  test("keeps what the process made around a mount point", async () => {
    const rootfs = makeRootfs();
    const mounts = [{ type: "tmpfs", target: "/data/tmp", size: undefined }] as const;
    await run(runner, { args: ["sh", "-c", "echo 1 >/data/kept; echo 2 >/data/tmp/gone"], mounts }, rootfs);
    expect(readFileSync(join(rootfs, "data", "kept"), "utf8")).toBe("1\n");
    expect(() => statSync(join(rootfs, "data", "tmp"))).toThrow("ENOENT");
  });

  test("shows name servers, loopback, the host name and extra hosts", async () => {
    const script = { args: ["sh", "-c", "cat /etc/hosts; echo --; cat /etc/resolv.conf"], hostname: "buildkitsandbox" };
    const extraHosts = [["db", "10.0.0.7"] as const];
    const { stdout } = await run(runner, { ...script, extraHosts });
    const [hosts, servers] = stdout.split("--\n");
    expect(hosts).toBe(
      "127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.7\tdb\n",
    );
    expect(servers).toBe(readFileSync("/etc/resolv.conf", "utf8"));
  });

  test("follows links to mount points inside the rootfs", async () => {
    const rootfs = makeRootfs();
    mkdirSync(join(rootfs, "etc"));
    symlinkSync("../../../../run/made/resolv.conf", join(rootfs, "etc", "resolv.conf"));
    const before = listTree(rootfs);
    const { stdout } = await run(runner, "cat /run/made/resolv.conf", rootfs);
    expect(stdout).toBe(readFileSync("/etc/resolv.conf", "utf8"));
    expect(listTree(rootfs)).toBe(before);
  });

  test("mounts over what is there, and in other mounts, and gives writes back to the source", async () => {
    const rootfs = makeRootfs();
    mkdirSync(join(rootfs, "m"));
    writeFileSync(join(rootfs, "m", "f"), "beneath");
    const cache = join(temporary(), "cache");
    mkdirSync(cache);
    writeFileSync(join(cache, "old"), "old");
    const file = join(temporary(), "file");
    writeFileSync(file, "mounted");
    const mounts = [
      { type: "bind", source: cache, target: "/m", readonly: false },
      { type: "bind", source: file, target: "/m/sub/f", readonly: true },
    ] as const;
    const args = ["sh", "-c", "ls /m; cat /m/old /m/sub/f; echo new >/m/new"];
    const { stdout, exitCode } = await run(runner, { args, mounts }, rootfs);
    expect([exitCode, stdout]).toEqual([0, "old\nsub\noldmounted"]);
    expect(readFileSync(join(cache, "new"), "utf8")).toBe("new\n");
    expect(readFileSync(join(rootfs, "m", "f"), "utf8")).toBe("beneath");
  });

  test("hands a socket in", async () => {
    const path = join(temporary(), "agent");
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    chmodSync(path, 0o600);
    const mounts = [{ type: "bind", source: path, target: "/run/agent", readonly: false }] as const;
    const { stdout } = await run(runner, { args: ["sh", "-c", "[ -S /run/agent ] && stat -c %a /run/agent"], mounts });
    server.close();
    expect(stdout).toBe("600\n");
  });

  test("gives devices that work, and takes them away", async () => {
    const script = "echo x >/dev/null; head -c 3 /dev/zero | stat -c %F /dev/null; [ -c /dev/urandom ] && echo yes";
    const { stdout } = await run(runner, script);
    expect(stdout).toBe("character special file\nyes\n");
  });

  test("ends what the process left running", async () => {
    const marker = sleepMarker();
    const outcome = await run(runner, `sleep ${marker} & setsid sleep ${marker} & echo done`);
    expect(outcome).toMatchObject({ exitCode: 0, stdout: "done\n" });
    expect(processesWith(marker)).toEqual([]);
  });

  test("is ended with all its children by the signal", async () => {
    const marker = sleepMarker();
    const controller = new AbortController();
    const [rootfs, scratch] = [makeRootfs(), temporary()];
    const onOutput = (): void => controller.abort(new Error("stop"));
    const script = `trap '' TERM INT; setsid sleep ${marker} & echo ready; sleep ${marker}; sleep ${marker}`;
    const running = runIn(runner, script, { rootfs, scratch, signal: controller.signal, onOutput });
    await expect(running).rejects.toMatchObject({ code: "CANCELLED" });
    expect(processesWith(marker)).toEqual([]);
    expect(mountsBeneath(rootfs)).toEqual([]);
  });

  test("starts nothing once the signal has fired", async () => {
    const signal = AbortSignal.abort();
    const running = runIn(runner, "touch /ran", { rootfs: makeRootfs(), scratch: temporary(), signal });
    await expect(running).rejects.toMatchObject({ code: "CANCELLED" });
  });

  test.each([
    ["nofile", 99, "-n", "99"],
    ["nofile", 64, "-n", "64"],
    ["core", -1, "-c", "unlimited"],
  ])("limits %s to %d", async (limit, value, flag, shown) => {
    const ulimits = [{ name: limit, soft: value, hard: value }];
    const { stdout } = await run(runner, { args: ["sh", "-c", `ulimit ${flag}`], ulimits });
    expect(stdout).toBe(`${shown}\n`);
  });
});

describe.each(isolating.map((runner) => [runner.name, runner] as const))("%s, in namespaces", (_, runner) => {
  test("gives a network with loopback alone", async () => {
    const { stdout } = await run(runner, { args: ["sh", "-c", "ifconfig -a; cat /proc/net/dev"], network: "none" });
    expect(stdout.match(/^\S+(?= +Link)/gm)).toEqual(["lo"]);
    expect(stdout).toMatch(/UP LOOPBACK RUNNING/);
  });

  test("gives the machine's network", async () => {
    const { stdout: own } = spawnSync("readlink", ["/proc/self/ns/net"], { encoding: "utf8" });
    const { stdout } = await run(runner, "ls -l /proc/self/ns/net");
    expect(stdout).toContain(own.trim());
  });

  test("has its own host name, processes and shared memory", async () => {
    const script = "hostname; echo $$; mount | { while read a b c d; do [ $c = /dev/shm ] && echo $d; done; }";
    const { stdout } = await run(runner, { args: ["sh", "-c", script], hostname: "made", shmSize: 8 * 1024 * 1024 });
    const [hostname, pid, shm] = stdout.split("\n");
    expect([hostname, pid]).toEqual(["made", "1"]);
    expect(shm).toContain("size=8192k");
  });

  test("holds privileges down to Docker's set, or grants all that it has", async () => {
    const script = { args: ["sh", "-c", "cat /proc/self/status"] };
    const sandboxed = await run(runner, script);
    expect(sandboxed.stdout).toContain(`CapBnd:\t${bySandbox}`);
    expect(sandboxed.stdout).toContain(`CapEff:\t${bySandbox}`);
    const insecure = await run(runner, { ...script, security: "insecure" });
    const [own] = /CapPrm:.*/.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
    expect(insecure.stdout).toContain(own);
  });

  test("hides and protects what belongs to the machine", async () => {
    const script = [
      "echo 1 >/proc/sys/kernel/hostname",
      "mkdir /sys/x",
      "ls /sys/firmware /proc/acpi 2>/dev/null",
      "mknod /disk b 7 0 && head -c 1 /disk",
    ];
    const { stdout, stderr } = await run(runner, script.join("; "));
    expect(stdout.replaceAll(/^\/.*:$|\n/gm, "")).toBe("");
    const [hostname, cgroup, disk] = stderr.split("\n");
    expect(hostname).toContain("/proc/sys/kernel/hostname: Read-only file system");
    expect(cgroup).toMatch(/\/sys\/x.*(Read-only file system|Operation not permitted)/);
    expect(disk).toMatch(/\/disk: (Operation not permitted|Permission denied)/);
  });

  test.each([
    ["/dev", []],
    ["/c", [{ type: "bind", source: temporaryForAll, target: "/c", readonly: false } as const]],
  ])("lets no device work that the process makes in %s", async (place, mounts) => {
    const args = [
      "sh",
      "-c",
      `mknod ${place}/disk b 7 0; head -c 1 ${place}/disk; mknod ${place}/memory c 1 1; head -c 1 ${place}/memory`,
    ];
    const { stdout, stderr } = await run(runner, { args, mounts });
    expect(stdout).toBe("");
    expect(stderr.match(/(Operation not permitted|Permission denied)/g)).toHaveLength(2);
  });

  test("lets nothing reach the machine that the process does to its devices or its input", async () => {
    const before = statSync("/dev/null").mode;
    const script = "chmod 600 /dev/null /proc/keys /proc/self/fd/0; stat -c %a /dev/null";
    expect((await run(runner, script)).stdout).toBe("600\n");
    expect(statSync("/dev/null").mode).toBe(before);
  });

  test("gives an input that is at its end, to a user too", async () => {
    const { stdout, exitCode } = await run(runner, { args: ["sh", "-c", "cat; cat /dev/stdin"], uid: 1000, gid: 1000 });
    expect([exitCode, stdout]).toEqual([0, ""]);
  });

  test("lets a user open its streams again by their names", async () => {
    const script = "echo one >/dev/stdout; echo two >/dev/stderr";
    const outcome = await run(runner, { args: ["sh", "-c", script], uid: 1000, gid: 1000 });
    expect(outcome).toEqual({ exitCode: 0, stdout: "one\n", stderr: "two\n" });
  });

  test("keeps signals to the process' group from those that are around it", async () => {
    expect((await run(runner, "trap 'exit 5' TERM; kill -TERM 0; exit 6")).exitCode).toBe(5);
  });

  test("hands in no file but the standard streams", async () => {
    const { stdout } = await run(runner, "for each in /proc/self/fd/*; do [ -e $each ] && echo ${each##*/}; done");
    expect(stdout).toBe("0\n1\n2\n");
  });

  test("lets nobody write to the program that the process was before it was this one", async () => {
    const rootfs = makeRootfs();
    for (const library of librariesOf(process.execPath)) {
      mkdirSync(join(rootfs, dirname(library)), { recursive: true });
      copyFileSync(library, join(rootfs, library));
    }
    const program = 'fs.accessSync("/proc/self/exe", fs.constants.W_OK); console.log("writable")';
    const { stdout } = await run(runner, { args: ["/proc/self/exe", "-e", program] }, rootfs);
    expect(stdout).not.toContain("writable");
  });

  test("lets nobody write through a read-only mount", async () => {
    const source = temporary();
    const mounts = [{ type: "bind", source, target: "/ro", readonly: true }] as const;
    const { stderr, exitCode } = await run(runner, {
      args: ["sh", "-c", "echo x >/ro/f || echo x >/etc/hosts"],
      mounts,
    });
    expect([exitCode, stderr]).toEqual([1, expect.stringMatching(/\/ro\/f: Read-only.*\n.*\/etc\/hosts: Read-only/)]);
  });

  test("gives streams whose writes wait for their reader: others would fail, and what they wrote be lost", async () => {
    const { stdout } = await run(runner, "for i in 1 2; do sed -n 's/^flags:.//p' /proc/self/fdinfo/$i; done");
    const flags = stdout.trim().split("\n");
    expect(flags).toHaveLength(2);
    expect(flags.map((each) => Number.parseInt(each, 8) & 0o4000)).toEqual([0, 0]);
  });

  test("limits a tmpfs", async () => {
    const mounts = [{ type: "tmpfs", target: "/t", size: 64 * 1024 }] as const;
    const { stdout } = await run(runner, {
      args: ["sh", "-c", "head -c 100000 /dev/zero >/t/f; stat -c %s /t/f; stat -c %a /t"],
      mounts,
    });
    expect(stdout).toBe(`${64 * 1024}\n1777\n`);
  });

  test("shows a device of the machine by name", async () => {
    const script = "stat -c %F /dev/fuse; exec 3<>/dev/fuse && echo opened";
    const { stdout } = await run(runner, { args: ["sh", "-c", script], devices: ["/dev/fuse"] });
    expect(stdout).toBe("character special file\nopened\n");
  });

  test("says why a mount that fails does", async () => {
    const rootfs = makeRootfs();
    const file = join(temporary(), "file");
    writeFileSync(file, "");
    const mounts = [{ type: "bind", source: file, target: "/bin", readonly: true }] as const;
    const running = run(runner, { args: ["true"], mounts }, rootfs);
    await expect(running).rejects.toMatchObject({ code: "RUNNER_FAILED", message: expect.stringMatching(/\/bin/) });
  });
});

test("chroot refuses to run without network", async () => {
  const running = run(createChrootRunner(), { args: ["true"], network: "none" });
  await expect(running).rejects.toMatchObject({ code: "RUNNER_FAILED" });
});
