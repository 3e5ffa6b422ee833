import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningCacheServer, startCacheServer } from "../../tools/cache-server.ts";
import { freePort } from "../../tools/registry.ts";
import { type Fault, type FaultyProxy, startFaultyProxy } from "./faulty-proxy.ts";
import { type Outcome, Workspace } from "./varve.ts";

/** A layer that is large enough for a fault in the middle of it, and a step that needs it. */
const FILES = {
  Dockerfile: "FROM busybox\nRUN dd if=/dev/urandom of=/random bs=1M count=3 2>/dev/null\nRUN wc -c </random >/size\n",
};
const MORE = { Dockerfile: `${FILES.Dockerfile}RUN cat /size >/copy\n` };

describe("a cache server that fails", () => {
  const root = mkdtempSync(join(tmpdir(), "varve-e2e-faults-"));
  let server: RunningCacheServer;
  let proxy: FaultyProxy;

  beforeAll(async () => {
    server = await startCacheServer({ data: join(root, "data") });
    proxy = await startFaultyProxy(server.url);
    using filled = new Workspace();
    await filled.build(["--cache", server.url, filled.context(FILES)]);
  });
  afterAll(async () => {
    await proxy.stop();
    await server.stop();
    rmSync(root, { recursive: true, force: true });
  });

  async function buildWith(url: string, files: Readonly<Record<string, string>> = MORE): Promise<Outcome> {
    using work = new Workspace();
    return await work.build(["--progress=plain", "--cache", url, work.context(files)]);
  }

  test.each<Fault>(["hang", "status-500", "reset", "corrupt"])(
    "%s: the build succeeds, with one warning",
    async (fault) => {
      proxy.fault = fault;
      const { stderr } = await buildWith(proxy.url);
      expect(stderr.match(/^WARNING .*/gm)).toHaveLength(1);
      expect(stderr).toContain(`WARNING Cache ${proxy.url} fails, and the build goes on without it`);
      expect(stderr).toMatch(/\d requests? failed/);
    },
  );

  test("cuts answers off: they are continued where they ended", async () => {
    proxy.fault = "truncate";
    const { stderr } = await buildWith(proxy.url);
    expect(stderr).not.toContain("WARNING");
    expect(stderr).toContain("2 from remote caches");
  });

  test("nobody listens: the build succeeds, with one warning", async () => {
    const { stderr } = await buildWith(`http://127.0.0.1:${await freePort()}`);
    expect(stderr.match(/^WARNING .*/gm)).toHaveLength(1);
    expect(stderr).toContain("ECONNREFUSED");
  });

  test("killed in the middle of a build: it succeeds, with one warning", async () => {
    const doomed = await startCacheServer({ data: join(root, "doomed") });
    using work = new Workspace();
    const context = work.context({
      Dockerfile: "FROM busybox\nRUN echo 1 >/1\nRUN echo now; sleep 2; echo 2 >/2\nRUN echo 3 >/3\n",
    });
    const { stderr } = await work.build(["--progress=plain", "--cache", doomed.url, context], {
      onStart: (child) =>
        child.stderr?.on("data", (chunk: Buffer) => {
          if (chunk.includes(" now")) void doomed.stop("SIGKILL");
        }),
    });
    expect(stderr.match(/^WARNING .*/gm)).toHaveLength(1);
  });

  test("refuses a token: the build succeeds, and says where the token goes", async () => {
    const closed = await startCacheServer({ data: join(root, "closed"), args: [] });
    const { stderr } = await buildWith(closed.url);
    await closed.stop();
    expect(stderr.match(/^WARNING .*/gm)).toHaveLength(1);
    expect(stderr).toContain("VARVE_CACHE_TOKEN");
  });

  test("is another one than the one that the store remembers: nothing of it is used", async () => {
    using work = new Workspace();
    const port = await freePort();
    const outcomes: Outcome[] = [];
    for (const [data, files] of [
      ["one", FILES],
      ["two", MORE],
    ] as const) {
      const each = await startCacheServer({ data: join(root, data), port });
      using filled = new Workspace();
      await filled.build(["--cache", each.url, filled.context(files)]);
      outcomes.push(await work.build(["--progress=plain", "--cache", each.url, work.context(files)]));
      await each.stop();
    }
    const [first, second] = outcomes.map(({ stderr }) => stderr);
    expect(first).toContain("2 from remote caches");
    expect(second).toContain("signs with other keys");
    expect(second).not.toContain("from remote caches");
    expect(second?.match(/^WARNING .*/gm)).toHaveLength(1);
  });
});
