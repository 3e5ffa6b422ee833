import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { busyboxLayout } from "../../tools/base-images.ts";
import { freePort, type RunningRegistry, startRegistry } from "../../tools/registry.ts";
import { Workspace } from "./varve.ts";

describe("varve build and a registry", () => {
  let open: RunningRegistry;
  let closed: RunningRegistry;
  const work = new Workspace();
  const account = { user: "ci", password: "s3cret" };

  beforeAll(async () => {
    open = await startRegistry();
    closed = await startRegistry({ auth: account });
    const base = `oci:${await busyboxLayout()}:latest`;
    execFileSync("skopeo", ["copy", "-q", "--dest-tls-verify=false", base, `docker://${open.host}/base/busybox:1`]);
    const credentials = `${account.user}:${account.password}`;
    execFileSync("skopeo", [
      "copy",
      "-q",
      "--dest-tls-verify=false",
      "--dest-creds",
      credentials,
      base,
      `docker://${closed.host}/base/busybox:1`,
    ]);
  });

  afterAll(async () => {
    await open.stop();
    await closed.stop();
    work[Symbol.dispose]();
  });

  function login(password: string): Readonly<Record<string, string>> {
    const directory = work.file("docker-config");
    mkdirSync(directory, { recursive: true });
    const auth = Buffer.from(`${account.user}:${password}`).toString("base64");
    writeFileSync(join(directory, "config.json"), JSON.stringify({ auths: { [closed.host]: { auth } } }));
    return { DOCKER_CONFIG: directory };
  }

  test("pulls a base, pushes an image, and skopeo reads it", async () => {
    const context = work.context({
      Dockerfile: `FROM ${open.host}/base/busybox:1\nRUN echo x > /x\nCOPY a.txt /a\n`,
      "a.txt": "a\n",
    });
    const outcome = await work.run(["build", "--push", "-t", `${open.host}/team/app:1`, context]);
    expect(outcome.stderr).toContain(`in registry ${open.host}/team/app:1@sha256:`);
    const image = JSON.parse(
      execFileSync("skopeo", ["inspect", "--tls-verify=false", `docker://${open.host}/team/app:1`], {
        encoding: "utf8",
      }),
    ) as { readonly Layers: readonly string[] };
    expect(image.Layers).toHaveLength(3);
    const again = await work.run(["build", "--progress=json", "--push", "-t", `${open.host}/team/app:2`, context]);
    expect(again.stderr).not.toContain('"direction":"push"');
  });

  test("moves no layer of the base for a COPY --link onto it, and mounts them across repositories", async () => {
    using fresh = new Workspace();
    const context = fresh.context({
      Dockerfile: `FROM ${open.host}/base/busybox:1\nCOPY --link a.txt /a\n`,
      "a.txt": "a\n",
    });
    const outcome = await fresh.run(["build", "--progress=json", "--push", "-t", `${open.host}/other/app:1`, context]);
    expect(outcome.code, outcome.stderr).toBe(0);
    expect(outcome.stderr).not.toContain('"direction":"pull"');
    execFileSync("skopeo", [
      "copy",
      "-q",
      "--src-tls-verify=false",
      `docker://${open.host}/other/app:1`,
      `dir:${fresh.file("copied")}`,
    ]);
  });

  test("logs in with Docker's config file, and says what is wrong with wrong credentials", async () => {
    const context = work.context({ Dockerfile: `FROM ${closed.host}/base/busybox:1\nRUN true\n` });
    const args = ["build", "--push", "-t", `${closed.host}/team/app:1`, context];
    const right = await work.run(args, { env: login(account.password) });
    expect(right.code, right.stderr).toBe(0);
    const wrong = await work.run(args, { env: login("wrong") });
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain("error UNAUTHORIZED");
    expect(wrong.stderr).toContain("docker-config/config.json");
    const none = await work.run(args, { env: { DOCKER_CONFIG: work.file("nothing"), HOME: work.file("nobody") } });
    expect(none.stderr).toContain(`docker login ${closed.host}`);
  });

  test("asks a credential helper", async () => {
    const directory = work.file("helper");
    mkdirSync(directory, { recursive: true });
    const answer = JSON.stringify({ ServerURL: closed.host, Username: account.user, Secret: account.password });
    writeFileSync(join(directory, "docker-credential-varvetest"), `#!/bin/sh\ncat >/dev/null\necho '${answer}'\n`, {
      mode: 0o755,
    });
    writeFileSync(join(directory, "config.json"), JSON.stringify({ credHelpers: { [closed.host]: "varvetest" } }));
    const context = work.context({ Dockerfile: `FROM ${closed.host}/base/busybox:1\nRUN true\n` });
    const env = { DOCKER_CONFIG: directory, PATH: `${directory}:${process.env["PATH"]}` };
    const outcome = await work.run(["build", context], { env });
    expect(outcome.code, outcome.stderr).toBe(0);
  });

  test("names a registry that can't be reached and an image that is not there", async () => {
    const nobody = `127.0.0.1:${await freePort()}`;
    const gone = await work.run(["build", work.context({ Dockerfile: `FROM ${nobody}/nothing:1\n` })]);
    expect(gone.code).toBe(1);
    expect(gone.stderr).toContain(`error UNREACHABLE: Cannot reach "${nobody}": ECONNREFUSED`);
    expect(gone.stderr).toContain("hint:");
    const absent = await work.run(["build", work.context({ Dockerfile: `FROM ${open.host}/base/busybox:nope\n` })]);
    expect(absent.stderr).toContain("error MANIFEST_UNKNOWN");
    expect(absent.stderr).toMatch(/>>> 1 \| FROM/);
  });
});
