import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Issuer, startIssuer } from "../../apps/cache-server/test/issuer.ts";
import { type RunningCacheServer, startCacheServer } from "../../tools/cache-server.ts";
import { freePort } from "../../tools/registry.ts";
import { type Outcome, Workspace } from "./varve.ts";

const AUDIENCE = "https://cache.example.com";
const PUSH = { aud: AUDIENCE, repository: "acme/shop", event_name: "push", ref: "refs/heads/main", ref_type: "branch" };
const PULL_REQUEST = {
  aud: AUDIENCE,
  repository: "acme/shop",
  event_name: "pull_request",
  ref: "refs/pull/7/merge",
  ref_type: "branch",
};

describe("a cache server with OIDC tokens", () => {
  const root = mkdtempSync(join(tmpdir(), "varve-e2e-trust-"));
  let issuer: Issuer;
  let server: RunningCacheServer;

  beforeAll(async () => {
    issuer = await startIssuer();
    const config = join(root, "config.json");
    const rule = { preset: "github", issuer: issuer.url, audience: AUDIENCE, repositories: ["acme/*"] };
    const port = await freePort();
    const ofJobs = { ...rule, audience: `http://127.0.0.1:${port}` };
    writeFileSync(config, JSON.stringify({ oidc: [rule, ofJobs] }));
    server = await startCacheServer({ data: join(root, "data"), port, args: ["--config", config] });
  });
  afterAll(async () => {
    await server.stop();
    await issuer[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
  });

  async function buildAs(claims: Readonly<Record<string, unknown>>, dockerfile: string): Promise<Outcome> {
    using work = new Workspace();
    return await work.build(["--progress=plain", "--cache", server.url, work.context({ Dockerfile: dockerfile })], {
      env: { VARVE_CACHE_TOKEN: await issuer.sign(claims) },
    });
  }

  test("shows a pull request what main built, and main nothing of what a pull request built", async () => {
    const dockerfile = "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid >/first\n";
    const ofMain = await buildAs(PUSH, dockerfile);
    const inRequest = await buildAs(PULL_REQUEST, dockerfile);
    expect(inRequest.stderr).toContain("1 from remote caches");
    expect(inRequest.stdout).toBe(ofMain.stdout);
    const longer = `${dockerfile}RUN cat /proc/sys/kernel/random/uuid >/second\n`;
    const requested = await buildAs(PULL_REQUEST, longer);
    expect((await buildAs(PULL_REQUEST, longer)).stdout).toBe(requested.stdout);
    const merged = await buildAs(PUSH, longer);
    expect(merged.stderr).toContain("1 from remote caches");
    expect(merged.stdout).not.toBe(requested.stdout);
  });

  test("takes the token that a GitHub job is given, asked for with VARVE_CACHE_TOKEN=oidc", async () => {
    const jobs = createServer((request, response) => {
      const { searchParams } = new URL(request.url ?? "", "http://localhost");
      const isJob = request.headers.authorization === "Bearer of-the-job";
      void issuer
        .sign({ ...PUSH, aud: searchParams.get("audience") })
        .then((value) => response.writeHead(isJob ? 200 : 401).end(JSON.stringify({ value })));
    });
    await new Promise<void>((resolve) => jobs.listen(0, "127.0.0.1", resolve));
    const env = {
      VARVE_CACHE_TOKEN: "oidc",
      ACTIONS_ID_TOKEN_REQUEST_URL: `http://127.0.0.1:${(jobs.address() as AddressInfo).port}/token?api-version=2`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: "of-the-job",
    };
    const Dockerfile = "FROM busybox\nRUN echo job >/job\n";
    const outcomes: Outcome[] = [];
    for (let machine = 0; machine < 2; machine += 1) {
      using work = new Workspace();
      const args = ["--progress=plain", "--cache", server.url, work.context({ Dockerfile })];
      outcomes.push(await work.build(args, { env }));
    }
    jobs.closeAllConnections();
    jobs.close();
    expect(outcomes[1]?.stderr).toContain("1 from remote caches");
    expect(outcomes.map(({ stderr }) => stderr).join("")).not.toContain("WARNING");
  });

  test("goes without a cache where no rule takes the token, with one warning", async () => {
    const { stderr } = await buildAs({ ...PUSH, repository: "other/shop" }, "FROM busybox\nRUN true\n");
    expect(stderr.match(/^WARNING .*/gm)).toHaveLength(1);
  });
});
