import { createHmac } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expandPreset, matchOidcRule, type OidcPreset } from "../src/trust/oidc-rules.ts";
import { type Issuer, startIssuer } from "./issuer.ts";
import { type Answer, createClient, startTestServer, type TestServer } from "./running-server.ts";

const AUDIENCE = "https://cache.example.com";
const GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange";

let issuer: Issuer;
let stranger: Issuer;
let server: TestServer;
beforeAll(async () => {
  [issuer, stranger] = [await startIssuer(), await startIssuer()];
  const preset = { preset: "github", issuer: issuer.url, audience: AUDIENCE, repositories: ["acme/*"] };
  const once = {
    issuer: issuer.url,
    audience: "once",
    claims: { sub: "*" },
    principal: "once:${sub}",
    lane: "dev/${sub}",
    once: true,
    lifetime: 5000,
  };
  server = await startTestServer({ oidc: [preset, once] });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await issuer[Symbol.asyncDispose]();
  await stranger[Symbol.asyncDispose]();
});

/** Claims of a token, whatever their types. */
type Claims = Readonly<Record<string, unknown>>;

const PUSH: Claims = {
  aud: AUDIENCE,
  repository: "acme/shop",
  event_name: "push",
  ref: "refs/heads/main",
  ref_type: "branch",
};

function exchange(token: string): Promise<Answer> {
  return server.stranger.send("POST", "/token", { grant_type: GRANT_TYPE, subject_token: token });
}

describe("POST /token", () => {
  test("gives a push to main a token that writes to main, for no longer than the OIDC token", async () => {
    const answer = await exchange(await issuer.sign(PUSH));
    expect(answer).toMatchObject({
      status: 200,
      body: { token_type: "Bearer", principal: "github:acme/shop", lane: "main", readChain: ["main"] },
    });
    expect(answer.body.expires_in).toBeGreaterThan(200);
    expect(answer.body.expires_in).toBeLessThanOrEqual(330);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    const client = createClient(server.url, answer.body.access_token);
    expect((await client.send("GET", "/whoami")).body).toMatchObject({ lane: "main", actions: ["write"] });
    const record = await client.put("from ci");
    expect((await client.send("GET", `/records/${record.key}`)).body).toMatchObject({ principal: "github:acme/shop" });
  });

  test("gives a pull request a lane of its own", async () => {
    const claims = { ...PUSH, event_name: "pull_request", ref: "refs/pull/7/merge" };
    expect((await exchange(await issuer.sign(claims))).body).toMatchObject({
      lane: "pr/acme%2Fshop/7",
      readChain: ["pr/acme%2Fshop/7", "main"],
    });
  });

  test("takes a form, as RFC 8693 has it", async () => {
    const form = new URLSearchParams({ grant_type: GRANT_TYPE, subject_token: await issuer.sign(PUSH) });
    const response = await fetch(`${server.url}/varve/v1/token`, { method: "POST", body: form });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ lane: "main" });
  });

  const now = Math.floor(Date.now() / 1000);
  test.each<[string, Claims]>([
    ["another audience", { ...PUSH, aud: "https://elsewhere.example.com" }],
    ["no audience", { ...PUSH, aud: undefined }],
    ["another issuer", { ...PUSH, iss: "https://token.actions.githubusercontent.com" }],
    ["an expired one", { ...PUSH, iat: now - 600, exp: now - 120 }],
    ["one that never expires", { ...PUSH, exp: undefined }],
    ["one of the future", { ...PUSH, nbf: now + 600 }],
    ["another repository", { ...PUSH, repository: "evil/shop" }],
    ["a repository whose name begins alike", { ...PUSH, repository: "xacme/shop" }],
    ["pull_request_target, which names main as its ref", { ...PUSH, event_name: "pull_request_target" }],
    ["issue_comment, which does too", { ...PUSH, event_name: "issue_comment" }],
    ["a tag that is named like the branch", { ...PUSH, ref_type: "tag", ref: "refs/heads/main" }],
    ["claims of another type", { ...PUSH, repository: ["acme/shop"] }],
    ["claims that every object has", { aud: AUDIENCE, repository: "acme/shop" }],
  ])("refuses %s", async (_, claims) => {
    const answer = await exchange(await issuer.sign(claims));
    expect(answer).toMatchObject({ status: 401, body: { error: { code: "TOKEN_INVALID" } } });
  });

  test("bears with clocks that differ by half a minute, and no more", async () => {
    const second = () => Math.floor(Date.now() / 1000);
    expect((await exchange(await issuer.sign({ ...PUSH, iat: second() + 20, nbf: second() + 20 }))).status).toBe(200);
    const justOver = await exchange(await issuer.sign({ ...PUSH, iat: second() - 300, exp: second() - 20 }));
    expect(justOver.status).toBe(200);
    expect(justOver.body.expires_in).toBeLessThanOrEqual(10);
    expect((await exchange(await issuer.sign({ ...PUSH, iat: second() - 300, exp: second() - 40 }))).status).toBe(401);
  });

  test("refuses what another issuer signed in this one's name", async () => {
    expect((await exchange(await stranger.sign({ ...PUSH, iss: issuer.url }))).status).toBe(401);
    expect((await exchange(await stranger.sign(PUSH))).status).toBe(401);
  });

  test("refuses a token without a signature, and one that is signed with the public key as a secret", async () => {
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const payload = encode({ iss: issuer.url, sub: "x", iat: now, exp: now + 300, ...PUSH });
    const none = `${encode({ alg: "none", kid: "one" })}.${payload}.`;
    expect((await exchange(none)).status).toBe(401);
    const head = encode({ alg: "HS256", kid: "one" });
    const signature = createHmac("sha256", issuer.publicKey).update(`${head}.${payload}`).digest("base64url");
    expect((await exchange(`${head}.${payload}.${signature}`)).status).toBe(401);
    const [signedHead, , signed] = (await issuer.sign({ ...PUSH, repository: "evil/shop" })).split(".");
    expect((await exchange(`${signedHead}.${payload}.${signed}`)).status).toBe(401);
  });

  test.each(["", "x", "a.b.c", "e30.e30.", "..", "null"])("refuses %j", async (token) => {
    expect((await exchange(token)).status).toBe(401);
  });

  test("takes a token once only where its rule says so, also after a restart", async () => {
    const token = await issuer.sign({ aud: "once", sub: "ann", jti: "1" });
    const first = await exchange(token);
    expect(first.body).toMatchObject({ lane: "dev/ann", expires_in: 5 });
    expect((await exchange(token)).status).toBe(401);
    expect((await exchange(await issuer.sign({ aud: "once", sub: "ann", jti: "2" }))).status).toBe(200);
    expect((await exchange(await issuer.sign({ aud: "once", sub: "ann" }))).status).toBe(401);
    const oftener = await issuer.sign({ ...PUSH, jti: "1" });
    for (let time = 0; time < 2; time += 1) expect((await exchange(oftener)).status).toBe(200);
  });
});

describe("presets", () => {
  const github: OidcPreset = {
    preset: "github",
    audience: "a",
    repositories: ["acme/*"],
    mainBranches: ["main", "release/*"],
  };
  const gitlab: OidcPreset = { preset: "gitlab", audience: "a", repositories: ["group/*"] };
  const pushed = { repository: "acme/shop", event_name: "push", ref_type: "branch" };
  const merged = { project_path: "group/sub/shop", pipeline_source: "push", ref_type: "branch" };
  test.each<[string, OidcPreset, Readonly<Record<string, unknown>>, string | undefined]>([
    ["a push to main", github, { ...pushed, ref: "refs/heads/main" }, "main"],
    ["a push to a release branch", github, { ...pushed, ref: "refs/heads/release/1" }, "main"],
    ["a push to another branch", github, { ...pushed, ref: "refs/heads/x/y" }, "branch/acme%2Fshop/x%2Fy"],
    ["a nightly build of main", github, { ...pushed, event_name: "schedule", ref: "refs/heads/main" }, "main"],
    [
      "a merge queue",
      github,
      { ...pushed, event_name: "merge_group", ref: "refs/heads/gh-readonly-queue/main/pr-1" },
      undefined,
    ],
    ["a push of a tag", github, { ...pushed, ref_type: "tag", ref: "refs/tags/main" }, undefined],
    ["a push to protected main", gitlab, { ...merged, ref: "main", ref_protected: "true" }, "main"],
    [
      "a push to main, not protected",
      gitlab,
      { ...merged, ref: "main", ref_protected: "false" },
      "branch/group%2Fsub%2Fshop/main",
    ],
    [
      "a merge request",
      gitlab,
      { ...merged, pipeline_source: "merge_request_event", ref: "fix" },
      "pr/group%2Fsub%2Fshop/fix",
    ],
    ["another group", gitlab, { ...merged, project_path: "other/shop", ref: "main", ref_protected: "true" }, undefined],
  ])("give %s (%#) its lane", (_, preset, claims, lane) => {
    const found = matchOidcRule(expandPreset(preset), claims);
    expect(found?.grant.lane).toBe(lane);
    if (lane !== undefined) expect(found?.grant.readChain.at(-1)).toBe("main");
  });
});
