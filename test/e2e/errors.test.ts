import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { Archive, mountsBelow, runVarve, Workspace } from "./varve.ts";

describe("varve build, when things go wrong", () => {
  test.each([
    [
      "an unknown instruction",
      "FROM busybox\nRUNN true\n",
      /error UNKNOWN_INSTRUCTION.*RUNN[^]*:2\n[^]*>>> 2 \| RUNN true\n +\| \^{4}[^]*hint: Did you mean RUN\?/,
    ],
    [
      "an unknown flag",
      "FROM busybox\nCOPY --frum=x a /a\n",
      /error UNKNOWN_FLAG.*--frum[^]*hint: Did you mean --from\?/,
    ],
    [
      "an unknown stage",
      "FROM busybox AS build\nFROM busybox\nCOPY --from=2 /a /a\n",
      /error STAGE_UNKNOWN.*invalid stage index 2/,
    ],
    [
      "a missing file",
      "FROM busybox\nCOPY nope.txt /\n",
      /error SOURCE_MISSING.*"nope\.txt".*not found[^]*hint: Did you mean "note\.txt"\?/,
    ],
    [
      "an ignored file",
      "FROM busybox\nCOPY secret/key /\n",
      /error SOURCE_MISSING[^]*hint: The path is excluded by .*\.dockerignore: line 2, "secret"/,
    ],
    ["a user that is not there", "FROM busybox\nUSER ghost\nRUN true\n", /error USER_UNKNOWN.*"ghost"/],
    [
      "a required secret",
      "FROM busybox\nRUN --mount=type=secret,id=k,required=true true\n",
      /error SECRET_MISSING[^]*--secret id=k/,
    ],
  ])("tells %s", async (_, Dockerfile, expected) => {
    using work = new Workspace();
    const context = work.context({
      Dockerfile,
      ".dockerignore": "# kept out\nsecret\n",
      "note.txt": "",
      "secret/key": "k",
    });
    const outcome = await work.fail(["-t", "broken:1", context]);
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toMatch(expected);
    expect(outcome.stdout).toBe("");
    expect(namesIn(work.store)).toBe(0);
  });

  test("tells a failing RUN: step, line, exit code and the last output, and leaves nothing behind", async () => {
    using work = new Workspace();
    const context = work.context({ Dockerfile: "FROM busybox\n\nRUN echo before; echo why; exit 7\n" });
    const outcome = await work.fail(["-t", "broken:1", "-o", `type=oci,dest=${work.file("x.tar")}`, context]);
    expect(outcome.stderr).toMatch(
      /error COMMAND_FAILED.*exit code: 7\n {2}before\n {2}why\nstep: \[2\/2\] RUN echo before[^]*Dockerfile:3\n/,
    );
    expect(existsSync(work.file("x.tar"))).toBe(false);
    expect(readdirSync(join(work.store, "mounts"))).toEqual([]);
    expect(mountsBelow(work.path)).toEqual([]);
  });

  test("warns of what the checks find, fails where the Dockerfile asks for it, and only looks with --check", async () => {
    using work = new Workspace();
    const text = "FROM busybox\nMAINTAINER me\n";
    const context = work.context({ Dockerfile: text });
    expect((await work.build([context])).stderr).toContain("WARNING MaintainerDeprecated");
    const checked = await work.run(["build", "--check", context]);
    expect(checked.code).toBe(1);
    expect(checked.stdout).toMatch(
      /WARNING MaintainerDeprecated[^]*>>> 2 \| MAINTAINER me[^]*1 warning has been found/,
    );
    const strict = await work.fail([work.context({ Dockerfile: `# check=error=true\n${text}` })]);
    expect(strict.stderr).toContain("error CHECK_FAILED");
    const skipped = await work.run(["build", "--check", work.context({ Dockerfile: `# check=skip=all\n${text}` })]);
    expect([skipped.code, skipped.stdout]).toEqual([0, "Check complete, no warnings found.\n"]);
  });

  test.each([
    [["build"], "no build context was given"],
    [["build", "--taget", "x", "."], 'unknown flag "--taget"\nhint: Did you mean --target?'],
    [["build", "-o", "type=zip", "."], 'type "zip" is unknown'],
    [["build", "/does/not/exist"], 'build context "/does/not/exist" does not exist'],
    [["bild"], 'there is no command "bild"\nhint: Did you mean build?'],
  ])("ends with 2 for wrong usage: %j", async (args, message) => {
    const outcome = await runVarve(args);
    expect(outcome.code).toBe(2);
    expect(outcome.stderr).toContain(message);
  });

  test("ends with 130 when it is cancelled, with nothing running or mounted", async () => {
    using work = new Workspace();
    const context = work.context({ Dockerfile: "FROM busybox\nRUN echo started; sleep 600\n" });
    const outcome = await work.fail([context], {
      onStart(child) {
        child.stderr?.on("data", (chunk: Buffer) => {
          if (chunk.includes("started\n")) child.kill("SIGINT");
        });
      },
    });
    expect(outcome.code).toBe(130);
    expect(outcome.stderr).toContain("error CANCELLED");
    expect(mountsBelow(work.path)).toEqual([]);
    expect(execFileSync("ps", ["-eo", "args"], { encoding: "utf8" })).not.toMatch(/^sleep 600$/m);
  });

  test("leaves nothing running when it is killed, and nothing mounted or made after the next build", async () => {
    using work = new Workspace();
    const seconds = `600.${process.pid}`;
    const context = work.context({ Dockerfile: `FROM busybox\nRUN echo started; sleep ${seconds}\n` });
    let id: number | undefined;
    await work.fail([context], {
      onStart(child) {
        id = child.pid;
        child.stderr?.on("data", (chunk: Buffer) => {
          if (chunk.includes("started\n")) child.kill("SIGKILL");
        });
      },
    });
    const sleeping = (): boolean =>
      execFileSync("ps", ["-eo", "args"], { encoding: "utf8" }).includes(`sleep ${seconds}`);
    await vi.waitUntil(() => !sleeping(), 5000);
    work.context({ Dockerfile: "FROM busybox\nRUN true\n" });
    await work.build([context]);
    expect(mountsBelow(work.path)).toEqual([]);
    const cgroups = execFileSync("find", ["/sys/fs/cgroup", "-name", `varve-devices-*-${id}-*`], { encoding: "utf8" });
    expect(cgroups).toBe("");
  });

  test("makes a layer again whose blob was damaged", async () => {
    using work = new Workspace();
    const context = work.context({ Dockerfile: "FROM busybox\nRUN echo x > /x\n" });
    const args = ["-o", `type=oci,dest=${work.file("x.tar")}`, context];
    await work.build(args);
    const [layer] = new Archive(work.file("x.tar")).manifest().layers.slice(-1);
    const blob = join(work.store, "blobs", "sha256", layer?.digest.slice("sha256:".length) ?? "");
    writeFileSync(blob, readFileSync(blob).fill(0, 20, 40));
    const broken = await work.fail(args);
    expect(broken.stderr).toContain("error DIGEST_MISMATCH");
    const mended = await work.build(args);
    expect(mended.code).toBe(0);
  });

  test("tells a full disk, and tags nothing", async () => {
    using work = new Workspace();
    const disk = work.file("disk");
    mkdirSync(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", disk]);
    try {
      const context = work.context({ Dockerfile: "FROM busybox\nCOPY big /big\n" });
      execFileSync("dd", ["if=/dev/urandom", `of=${join(context, "big")}`, "bs=1M", "count=8"], { stdio: "ignore" });
      const outcome = await work.fail(["--store", disk, "-t", "big:1", context]);
      expect(outcome.code).toBe(1);
      expect(outcome.stderr).toMatch(/error DISK_FULL: Cannot write to store[^]*hint: Free space/);
      expect(namesIn(disk)).toBe(0);
      expect(readdirSync(join(disk, "tmp"))).toEqual([]);
    } finally {
      execFileSync("umount", ["-l", disk]);
    }
  });

  test("says why no runner works", async () => {
    using work = new Workspace();
    const context = work.context({ Dockerfile: "FROM busybox\nRUN true\n" });
    const outcome = await work.fail(["--runner", "crun", context], { env: { PATH: "/nowhere" } });
    expect(outcome.stderr).toMatch(/error (RUNNER_UNAVAILABLE|RUNNER_FAILED)[^]*hint:/);
  });
});

/** How many images the store names. */
function namesIn(store: string): number {
  const file = join(store, "index.json");
  if (!existsSync(file)) return 0;
  return (JSON.parse(readFileSync(file, "utf8")) as { readonly manifests: readonly unknown[] }).manifests.length;
}
