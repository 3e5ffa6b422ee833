import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mountsBelow, type Outcome, Workspace } from "./varve.ts";

const DOCKERFILE = `FROM busybox
ENV GREETING=hello
WORKDIR /srv
VOLUME /data
USER app
ENTRYPOINT ["sh", "-c"]
CMD ["echo $GREETING $(id -un) $PWD"]
`;

const bin = join(import.meta.dirname, "..", "..", "apps", "cli", "bin", "varve.js");

describe("varve run", () => {
  const work = new Workspace();
  const run = (...args: readonly string[]): Promise<Outcome> => work.run(["run", ...args]);

  beforeAll(async () => {
    await work.build(["-t", "app:1", work.context({ Dockerfile: DOCKERFILE })]);
  });

  afterAll(() => {
    const left = ["mounts", "tmp"].flatMap((name) => readdirSync(join(work.store, name)));
    const mounts = mountsBelow(work.path);
    work[Symbol.dispose]();
    expect([left, mounts]).toEqual([[], []]);
  });

  test.each([
    ["the image's own command", ["app:1"], "hello app /srv\n"],
    ["words in place of the command", ["app:1", "echo $0 $1", "-h", "--help"], "-h --help\n"],
    ["another entrypoint, which takes no command", ["--entrypoint", "pwd", "app:1"], "/srv\n"],
    ["no entrypoint", ["--entrypoint", "", "app:1", "echo", "plain"], "plain\n"],
    [
      "variables",
      ["-e", "GREETING=bye", "-e", "HANDED", "-e", "ABSENT", "app:1", "echo $GREETING $HANDED ${ABSENT-none}"],
      "bye on none\n",
    ],
    ["a user, with that user's home", ["-u", "0", "app:1", "id -u; echo $HOME"], "0\n/root\n"],
    ["a user and a group by id", ["-u", "7:8", "app:1", "id -u; id -g"], "7\n8\n"],
    ["a directory that is made", ["-u", "0", "-w", "/made/here", "app:1", "pwd"], "/made/here\n"],
    ["the machine's host name", ["app:1", "hostname"], `${hostname()}\n`],
    [
      "another host name, in /etc/hosts too",
      ["-h", "other", "app:1", "hostname; grep -c other /etc/hosts"],
      "other\n1\n",
    ],
    ["the image's volume as a directory", ["app:1", "ls -d /data"], "/data\n"],
    [
      "flags of docker run that have no meaning here",
      ["--rm", "--name", "x", "-p", "80:80", "--network=bridge", "app:1"],
      "hello app /srv\n",
    ],
  ])("takes %s", async (_, args, expected) => {
    const outcome = await work.run(["run", ...args], { env: { HANDED: "on" } });
    expect(outcome).toEqual({ code: 0, stdout: expected, stderr: "" });
  });

  test.each([["runc"], ["unshare"], ["chroot"]])(
    "keeps apart what a command writes, and gives its exit code: %s",
    async (runner) => {
      const first = await run("--runner", runner, "-u", "0", "app:1", "touch /made && ls /made; echo oops >&2; exit 7");
      expect(first).toEqual({ code: 7, stdout: "/made\n", stderr: "oops\n" });
      expect((await run("--runner", runner, "app:1", "ls /made")).code).toBe(1);
      const input = await work.run(["run", "-i", "--runner", runner, "--entrypoint", "cat", "app:1"], {
        input: "in\n",
      });
      expect(input.stdout).toBe("in\n");
      const without = await work.run(["run", "--runner", runner, "--entrypoint", "cat", "app:1"], { input: "in\n" });
      expect(without).toEqual({ code: 0, stdout: "", stderr: "" });
      expect((await run("--runner", runner, "--entrypoint", "missing", "app:1")).code).toBe(127);
    },
  );

  test("shows directories and files of the machine, writable or not", async () => {
    const shared = work.file("shared");
    mkdirSync(shared);
    writeFileSync(work.file("one"), "1\n");
    writeFileSync(work.file("env"), "# no\nFROM_FILE=yes\n");
    const outcome = await run(
      "-u",
      "0",
      "--env-file",
      work.file("env"),
      "-v",
      `${shared}:/w`,
      "-v",
      `${work.file("one")}:/one:ro`,
      "--mount",
      `type=bind,source=${shared},target=/r,readonly`,
      "--tmpfs",
      "/t",
      "-v",
      `${work.file("new")}:/new`,
      "app:1",
      "cat /one; echo $FROM_FILE > /w/made; echo x > /r/y; echo x > /one; touch /t/ok && ls /t",
    );
    expect(outcome.stdout).toBe("1\nok\n");
    expect(outcome.stderr.match(/Read-only file system/g)).toHaveLength(2);
    expect(readFileSync(join(shared, "made"), "utf8")).toBe("yes\n");
    expect(existsSync(work.file("new"))).toBe(true);
  });

  test.each([["runc"], ["unshare"]])("lets a command write to mounts only with --read-only: %s", async (runner) => {
    const outcome = await run(
      "--runner",
      runner,
      "--read-only",
      "-u",
      "0",
      "app:1",
      "touch /x; touch /dev/shm/y && echo shm",
    );
    expect(outcome.stdout).toBe("shm\n");
    expect(outcome.stderr).toContain("Read-only file system");
  });

  test.each([["runc"], ["unshare"], ["chroot"]])("hands signals on, once the command runs: %s", async (runner) => {
    const script = "trap 'echo ended; exit 3' TERM; trap 'echo again' INT; echo ready; while true; do sleep 0.05; done";
    const child = spawn(process.execPath, [bin, "run", "--runner", runner, "app:1", script], {
      env: { ...process.env, VARVE_STORE: work.store },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (text === "ready\n") child.kill("SIGINT");
      if (text === "ready\nagain\n") child.kill("SIGTERM");
    });
    const code = await new Promise((resolve) => child.once("close", resolve));
    expect([text, code]).toEqual(["ready\nagain\nended\n", 3]);
  });

  test("gives the terminal with -it", () => {
    const command = [process.execPath, bin, "run", "-it", "app:1", "'test -t 0 && test -t 1 && echo terminal $TERM'"];
    const { stdout } = spawnSync("script", ["-qec", command.join(" "), "/dev/null"], {
      encoding: "utf8",
      env: { ...process.env, VARVE_STORE: work.store },
    });
    expect(stdout).toContain("terminal xterm");
  });

  test("runs what was built without a name by its ID", async () => {
    const { stdout } = await work.build(["-q", work.context({ Dockerfile: "FROM busybox\nCMD echo unnamed\n" })]);
    expect((await run(stdout.trim())).stdout).toBe("unnamed\n");
  });

  test.each([
    ["an image that is not there", ["varve:none:1"], 125, /error IMAGE_UNKNOWN/],
    ["a user that is not there", ["-u", "ghost", "app:1"], 125, /error USER_UNKNOWN/],
    ["a named volume", ["-v", "data:/data", "app:1"], 2, /no named volumes/],
    ["a mount without a target", ["--mount", "type=bind,source=/tmp", "app:1"], 2, /wanted an absolute path/],
    ["the background", ["-d", "app:1"], 2, /no daemon/],
    ["a relative directory", ["-w", "here", "app:1"], 2, /wanted an absolute path/],
    ["an unknown runner", ["--runner", "docker", "app:1"], 2, /wanted auto, runc/],
    ["an unknown flag", ["--gpus", "all", "app:1"], 2, /unknown flag "--gpus"/],
  ] as const)("refuses %s", async (_, args, code, expected) => {
    const outcome = await run(...args);
    expect(outcome.stderr).toMatch(expected);
    expect(outcome.code).toBe(code);
  });
});
