import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningRegistry, startRegistry } from "../../tools/registry.ts";
import { runVarve, Workspace } from "./varve.ts";

const FILES = {
  Dockerfile:
    "FROM busybox AS tools\nRUN mkdir /opt && echo tool >/opt/tool\nFROM busybox\nCOPY --from=tools /opt/tool /tool\nRUN cat /tool >/copy\nCOPY a.txt /a\n",
  "a.txt": "a\n",
};

interface Record {
  readonly key: string;
}

describe("--cache-from and --cache-to", () => {
  let registry: RunningRegistry;
  const root = mkdtempSync(join(tmpdir(), "varve-oci-cache-"));

  beforeAll(async () => {
    registry = await startRegistry();
  });
  afterAll(async () => {
    await registry.stop();
    rmSync(root, { recursive: true, force: true });
  });

  /** A build on a machine of its own; gives what it wrote to standard error and the image's ID. */
  async function onNewMachine(
    args: readonly string[],
    files: Readonly<globalThis.Record<string, string>> = FILES,
  ): Promise<{ readonly log: string; readonly id: string }> {
    using work = new Workspace();
    const { stdout, stderr } = await work.build(["--progress=plain", ...args, work.context(files)]);
    return { log: stderr, id: stdout.trim() };
  }

  function recordsAt(reference: string): readonly Record[] {
    const inspect = (args: readonly string[]): Buffer =>
      execFileSync("skopeo", ["inspect", "--raw", "--tls-verify=false", ...args, `docker://${reference}`]);
    const manifest = JSON.parse(inspect([]).toString("utf8")) as { readonly artifactType: string };
    expect(manifest.artifactType).toBe("application/vnd.varve.cache.v1");
    return (JSON.parse(inspect(["--config"]).toString("utf8")) as { readonly records: readonly Record[] }).records;
  }

  test.each([
    [
      "registry",
      () => ({
        to: `type=registry,ref=${registry.host}/team/one:cache,mode=max`,
        from: `${registry.host}/team/one:cache`,
      }),
    ],
    ["local", () => ({ to: `type=local,dest=${root}/one,mode=max`, from: `type=local,src=${root}/one` })],
  ])("type=%s: another machine builds without running a step", async (_, words) => {
    const { to, from } = words();
    const first = await onNewMachine(["--cache-to", to]);
    expect(first.log).toContain("DONE");
    const second = await onNewMachine(["--cache-from", from]);
    expect(second.id).toBe(first.id);
    expect(second.log.match(/CACHED/g)).toHaveLength(4);
    expect(second.log).toContain("4 from remote caches");
  });

  test("mode=min keeps the image's layers only, mode=max those of all stages", async () => {
    const [min, max] = [`${registry.host}/team/modes:min`, `${registry.host}/team/modes:max`];
    await onNewMachine(["--cache-to", `type=registry,ref=${min}`, "--cache-to", `type=registry,ref=${max},mode=max`]);
    const counts = [min, max].map((reference) => recordsAt(`${reference}-varve`).length);
    expect(counts[0]).toBeLessThan(counts[1] ?? 0);
    const second = await onNewMachine(["--cache-from", min]);
    expect(second.log.match(/CACHED/g)).toHaveLength(3);
  });

  test("merges with what other builders wrote, and leaves their manifests alone", async () => {
    const reference = `${registry.host}/team/shared:main`;
    using other = new Workspace();
    const context = other.context({ Dockerfile: "FROM busybox\nLABEL who=other\n" });
    await other.build(["--push", "-t", reference, context]);
    const before = execFileSync("skopeo", ["inspect", "--raw", "--tls-verify=false", `docker://${reference}`]);
    const builders = ["a", "b", "c", "d"].map((name) =>
      onNewMachine(["--cache-to", `type=registry,ref=${reference},mode=max`], {
        Dockerfile: `FROM busybox\nRUN echo ${name} >/${name}\n`,
      }),
    );
    await Promise.all(builders);
    expect(recordsAt(`${reference}-varve`)).toHaveLength(4);
    const again = await onNewMachine(["--cache-from", reference], { Dockerfile: "FROM busybox\nRUN echo c >/c\n" });
    expect(again.log).toContain("CACHED");
    expect(execFileSync("skopeo", ["inspect", "--raw", "--tls-verify=false", `docker://${reference}`])).toEqual(before);
  });

  test("goes on with a warning where a cache is not there or can't be reached, and says what it does not know", async () => {
    const absent = await onNewMachine(["--cache-from", `${registry.host}/team/nothing:1`]);
    expect(absent.log).not.toContain("WARNING");
    const args = [
      "--cache-from",
      "type=registry,ref=127.0.0.1:1/x:1",
      "--cache-from",
      `type=local,src=${root}/nothing`,
      "--cache-to",
      "type=gha",
    ];
    const { log } = await onNewMachine(args);
    expect(log.match(/WARNING/g)).toHaveLength(3);
    expect(log).toContain("WARNING A cache of type=gha is left out");
    const wrong = await runVarve(["build", "--cache-to", "type=registry,reff=x", "."]);
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining("Did you mean ref?") as string });
  });
});
