import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const USER = `varve${process.pid}`;
const PROGRAM = join(import.meta.dirname, "rootless.ts");

/** Runs the program as the user; `isolated`: where cgroups are of version 2 only, as crun wants them. */
const commandOf = (runner: string, uid: number): string[] => [
  process.execPath,
  "--conditions=@varve/source",
  PROGRAM,
  runner,
  String(uid),
];

function build(runner: string, uid: number): unknown {
  const asUser = ["setpriv", `--reuid=${USER}`, `--regid=${USER}`, "--init-groups", ...commandOf(runner, uid)];
  const script = 'mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null; exec "$@"';
  const line = runner === "crun" ? ["unshare", "--mount", "sh", "-c", script, "sh", ...asUser] : asUser;
  return readResult(line);
}

function readResult(line: readonly string[]): unknown {
  const { stdout, stderr } = spawnSync(line[0] ?? "", line.slice(1), { encoding: "utf8", cwd: "/" });
  return stdout === "" ? stderr : JSON.parse(stdout);
}

beforeAll(() => {
  execFileSync("useradd", ["--no-create-home", "--home-dir", "/nonexistent", USER]);
});

afterAll(() => {
  execFileSync("userdel", [USER]);
});

const common = { inNamespace: true, snapshotter: "overlay", whiteouts: "user" };

describe("a user with subordinate ids", () => {
  test.each(["runc", "crun", "unshare"])("builds as root of a user namespace with %s", (runner) => {
    expect(build(runner, 0)).toEqual({
      ...common,
      runner,
      ids: "range",
      outcome: { exitCode: 0 },
      output: ["0", "0 33", "1", "devices", ""],
      diff: ["bin directory 0", "bin/touch whiteout 0", "made directory 0", "made/file file 33"],
    });
  });

  test.each(["runc", "crun", "unshare"])("runs as another user with %s", (runner) => {
    expect(build(runner, 1000)).toMatchObject({
      ...common,
      output: expect.arrayContaining(["1000", "1000 33"]),
      diff: [],
    });
  });
});

describe("a user without subordinate ids", () => {
  beforeAll(() => {
    execFileSync("usermod", ["--del-subuids", "1-4294967294", "--del-subgids", "1-4294967294", USER]);
  });

  test.each(["runc", "unshare"])(
    "builds as root of a user namespace with %s, files of other owners excepted",
    (runner) => {
      expect(build(runner, 0)).toMatchObject({
        ...common,
        ids: "single",
        output: expect.arrayContaining(["0", "1", "devices"]),
        diff: ["bin directory 0", "bin/touch whiteout 0", "made directory 0", "made/file file 0"],
      });
    },
  );

  test("can't run as another user", () => {
    const message = "Cannot run as user 1000: it is not mapped in this user namespace";
    expect(build("unshare", 1000)).toMatchObject({ ids: "single", outcome: { message } });
  });
});

test("root of a container that may not mount builds in a chroot on copies", () => {
  const line = ["setpriv", "--bounding-set=-sys_admin", ...commandOf("auto", 0)];
  expect(readResult(line)).toEqual({
    inNamespace: false,
    runner: "chroot",
    snapshotter: "copy",
    whiteouts: "none",
    outcome: { exitCode: 0 },
    output: ["0", "0 33", expect.stringMatching(/^\d+$/), "devices", ""],
    diff: ["bin directory 0", "bin/touch whiteout 0", "made directory 0", "made/file file 33"],
  });
});
