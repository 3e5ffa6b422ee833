import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Workspace } from "./varve.ts";

const bin = join(import.meta.dirname, "..", "..", "apps", "cli", "bin", "varve.js");

interface Finding {
  readonly topic: string;
  readonly name: string;
  readonly state: string;
  readonly text: string;
  readonly hint?: string;
}

test("varve doctor says what works here, and what helps where something does not", async () => {
  using work = new Workspace();
  mkdirSync(work.file("docker"));
  const config = { auths: { "registry.example.com": {} }, credsStore: "missing" };
  writeFileSync(work.file("docker/config.json"), JSON.stringify(config));
  const env = { DOCKER_CONFIG: work.file("docker"), DOCKER_HOST: `unix://${work.file("none.sock")}` };
  const { code, stdout } = await work.run(["doctor", "--json"], { env });
  expect(code).toBe(0);
  const findings = JSON.parse(stdout) as readonly Finding[];
  const of = (topic: string, name = ""): Finding | undefined =>
    findings.find((each) => each.topic === topic && each.name === name);
  expect(of("node")?.text).toBe(process.version);
  expect(of("store")).toMatchObject({ state: "works", text: work.store });
  expect(of("disk")?.text).toMatch(/free; the store keeps within/);
  expect(findings.filter(({ topic }) => topic === "runner").map(({ name }) => name)).toEqual([
    "unshare",
    "runc",
    "crun",
    "chroot",
  ]);
  expect(of("runner", "unshare")).toMatchObject({ state: "works", text: "with a device cgroup" });
  expect(of("platform", "linux/s390x")?.hint ?? "emulated").toMatch(/qemu-user-static|emulated/);
  expect(of("docker")).toMatchObject({ state: "note", text: expect.stringContaining("no such socket") as string });
  expect(of("credentials", work.file("docker/config.json"))?.text).toBe("logins for registry.example.com");
  expect(of("credentials", "docker-credential-missing")).toMatchObject({
    state: "off",
    hint: "Install docker-credential-missing, or log in without it",
  });
  for (const { state, hint } of findings) if (state === "off") expect(hint).toBeDefined();
  const table = await work.run(["doctor"], { env });
  expect(table.stdout).toMatch(/^ok +node +v\d/);
  expect(table.stdout).toMatch(/^hint: docker-credential-missing: Install/m);
});

test("varve doctor says where no device cgroup can be made, and that another runner comes first then", () => {
  using work = new Workspace();
  const script = 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"';
  const command = [process.execPath, bin, "doctor", "--json"];
  const stdout = execFileSync("unshare", ["--mount", "sh", "-c", script, "sh", ...command], {
    encoding: "utf8",
    env: { ...process.env, VARVE_STORE: work.store },
  });
  const findings = (JSON.parse(stdout) as readonly Finding[]).filter(({ topic }) => topic === "runner");
  expect(findings.map(({ name }) => name)).toEqual(["runc", "crun", "unshare", "chroot"]);
  expect(findings[2]).toMatchObject({
    state: "works",
    text: expect.stringMatching(/^without a device cgroup.* is mounted$/),
  });
});

test("varve doctor ends with 1 where the store can't be used", async () => {
  using work = new Workspace();
  mkdirSync(work.store);
  writeFileSync(`${work.store}/varve-store`, "99\n");
  const { code, stdout } = await work.run(["doctor"]);
  expect(code).toBe(1);
  expect(stdout).toMatch(/^no +store +Cannot open store .*its format is 99/m);
  expect(existsSync(`${work.store}/index`)).toBe(false);
});
