import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { digestOf } from "@varve/oci";
import { checkReadChain, encodeLaneName, parseLane } from "../src/trust/lanes.ts";
import { openTokens } from "../src/trust/tokens.ts";
import {
  type Client,
  createClient,
  createTestToken,
  indexBytes,
  keyOf,
  layerBytes,
  makeRecord,
  signedOf,
  startTestServer,
  type TestServer,
} from "./running-server.ts";

let server: TestServer;
let main: Client;
let pull: Client;
beforeAll(async () => {
  server = await startTestServer();
  main = await server.client("main");
  pull = await server.client("pr/1", { actions: ["write", "replace"] });
});
afterAll(() => server[Symbol.asyncDispose]());

describe("a pull request's token", () => {
  test("does not let main read what it wrote first", async () => {
    const poison = await pull.put("poisoned first", "poison");
    expect(signedOf(await pull.send("GET", `/records/${poison.key}`)).lane).toBe("pr/1");
    expect((await main.send("GET", `/records/${poison.key}`)).status).toBe(404);
    expect((await main.send("POST", "/records/lookup", { keys: [poison.key] })).body).toEqual({ records: [null] });
    const { contentDigest } = makeRecord("", "poison").layer;
    expect((await main.send("POST", "/layers/lookup", { contentDigests: [contentDigest] })).body).toEqual({
      layers: [null],
    });
    const good = makeRecord("poisoned first", "good");
    await main.push(layerBytes("good"));
    await main.push(indexBytes("good"));
    expect((await main.send("PUT", `/records/${good.key}`, good)).body).toEqual({ outcome: "stored" });
    expect(signedOf(await main.send("GET", `/records/${good.key}`)).record).toEqual(good);
  });

  test("does not overwrite what main wrote, asked to replace it or not", async () => {
    const good = await main.put("overwritten", "original");
    const poison = makeRecord("overwritten", "overwriting");
    await pull.push(layerBytes("overwriting"));
    await pull.push(indexBytes("overwriting"));
    for (const query of ["", "?replace=1"]) await pull.send("PUT", `/records/${good.key}${query}`, poison);
    expect(signedOf(await main.send("GET", `/records/${good.key}`)).record).toEqual(good);
    expect(signedOf(await pull.send("GET", `/records/${good.key}`)).lane).toBe("pr/1");
  });

  test("reads main, which is trusted more, and no pull request beside it", async () => {
    const shared = await main.put("shared", "shared");
    expect(signedOf(await pull.send("GET", `/records/${shared.key}`)).lane).toBe("main");
    const beside = await server.client("pr/2");
    const secret = await beside.put("beside", "beside");
    const { descriptor } = makeRecord("", "beside").layer;
    expect((await pull.send("GET", `/records/${secret.key}`)).status).toBe(404);
    expect((await pull.send("GET", `/blobs/${descriptor.digest}`)).status).toBe(404);
    expect((await pull.send("HEAD", `/blobs/${descriptor.digest}`)).status).toBe(404);
    expect((await pull.send("POST", `/blobs/${descriptor.digest}/ranges`, { ranges: [[0, 1]] })).status).toBe(404);
  });

  test("gets no grant for a blob by naming it: in a record, a mount or an upload", async () => {
    const beside = await server.client("pr/3");
    const bytes = Buffer.from("only the third pull request has these bytes");
    const digest = await beside.push(bytes);
    const record = makeRecord("named", "named");
    await pull.push(indexBytes("named"));
    const layer = { ...record.layer, descriptor: { ...record.layer.descriptor, digest, size: bytes.length } };
    const answer = await pull.send("PUT", `/records/${record.key}`, { ...record, layer });
    expect(answer).toMatchObject({ status: 422, body: { missing: [digest] } });
    const mount = { layer, updatedAt: "2026-01-01T00:00:00Z" };
    expect((await pull.send("PUT", `/mounts/${"0".repeat(64)}`, mount)).status).toBe(422);
    const upload = { digest: digestOf(Buffer.concat([bytes, bytes])), size: bytes.length * 2 };
    const parts = [0, 1].map(() => ({ digest, size: bytes.length }));
    expect((await pull.send("POST", "/uploads", { ...upload, parts })).body.missing).toEqual([0, 1]);
    expect((await pull.send("GET", `/blobs/${digest}`)).status).toBe(404);
    const missing = await pull.send("POST", "/blobs/missing", { digests: [digest] });
    expect(missing.body).toEqual({ missing: [digest] });
  });

  test("does not learn from PUT whether a blob is there: all bytes have to come, and be right", async () => {
    const bytes = Buffer.from("known to main only, and of a secret length");
    const beside = await server.client("pr/4");
    const digest = await beside.push(bytes);
    const guess = Buffer.alloc(bytes.length, "x");
    expect((await pull.send("PUT", `/blobs/${digest}`, guess)).body.error.code).toBe("DIGEST_MISMATCH");
    expect((await pull.send("GET", `/blobs/${digest}`)).status).toBe(404);
    await pull.push(bytes);
    expect((await pull.send("GET", `/blobs/${digest}`)).bytes.equals(bytes)).toBe(true);
  });

  test("does not make main wait for it, nor take main's leases", async () => {
    const lease = { ttl: 5000, holder: "somebody" };
    const key = keyOf("leased");
    expect((await pull.send("POST", `/leases/${key}`, lease)).status).toBe(201);
    expect((await main.send("GET", `/leases/${key}/wait?timeout=0`)).body).toEqual({ state: "free" });
    const granted = await main.send("POST", `/leases/${key}`, lease);
    expect(granted.status).toBe(201);
    const stolen = { token: granted.body.token, ttl: 60_000 };
    expect((await pull.send("PUT", `/leases/${key}`, stolen)).status).toBe(404);
    await pull.send("DELETE", `/leases/${key}?token=${granted.body.token}`);
    expect((await main.send("PUT", `/leases/${key}`, stolen)).status).toBe(200);
  });

  test("does not fill main's cache mounts", async () => {
    const id = "a".repeat(64);
    const mountOf = async (client: Client, content: string) => {
      await client.push(layerBytes(content));
      await client.push(indexBytes(content));
      return { layer: makeRecord("", content).layer, updatedAt: "2030-01-01T00:00:00Z" };
    };
    const good = await mountOf(main, "good mount");
    expect((await main.send("PUT", `/mounts/${id}`, good)).status).toBe(204);
    expect((await pull.send("GET", `/mounts/${id}`)).body).toEqual(good);
    const poison = await mountOf(pull, "bad mount");
    expect((await pull.send("PUT", `/mounts/${id}`, poison)).status).toBe(204);
    expect((await main.send("GET", `/mounts/${id}`)).body).toEqual(good);
    expect((await pull.send("GET", `/mounts/${id}`)).body).toEqual(poison);
  });

  test("does not administer", async () => {
    expect((await pull.send("POST", "/invalidate", { lane: "main" })).status).toBe(403);
    expect((await main.send("POST", "/invalidate", { lane: "main" })).status).toBe(403);
  });

  test("does not see, nor replace, builds of other lanes", async () => {
    const report = (project: string) => ({
      id: "build-1",
      project,
      target: "image",
      startedAt: "2026-01-01T00:00:00Z",
      duration: 10,
      outcome: "built",
      steps: [{ name: "RUN true", state: "ran", duration: 5 }],
      bytesSaved: 0,
      timeSaved: 0,
    });
    const beside = await server.client("branch/a");
    await beside.send("POST", "/builds", report("secret"));
    await pull.send("POST", "/builds", report("mine"));
    const projects = async (client: Client) =>
      (await client.send("GET", "/builds")).body.builds.map((build: { project: string }) => build.project);
    expect(await projects(pull)).toEqual(["mine"]);
    expect(await projects(beside)).toEqual(["secret"]);
    const admin = await server.client("main", { actions: ["admin"] });
    expect((await projects(admin)).toSorted()).toEqual(["mine", "secret"]);
    expect((await beside.send("GET", "/builds/build-1")).body).toMatchObject({ project: "secret", lane: "branch/a" });
    const lanes = (await pull.send("GET", "/stats")).body.lanes as { lane: string }[];
    expect(lanes.map(({ lane }) => lane).toSorted()).toEqual(["main", "pr/1"]);
  });
});

describe("tokens", () => {
  const unknown = "varve_0123456789abcdef_".padEnd(66, "A");
  test.each<[string, string | undefined]>([
    ["no token", undefined],
    ["an unknown token", unknown],
    ["something else", "x"],
    ["an empty one", ""],
    ["a path", "varve_../../keys.json_x"],
  ])("%s is refused everywhere but for the server's keys", async (_, token) => {
    const client = createClient(server.url, token);
    for (const [method, path] of [
      ["GET", `/records/${keyOf("x")}`],
      ["GET", `/blobs/${keyOf("x")}`],
      ["GET", "/stats"],
      ["POST", "/uploads"],
      ["GET", "/whoami"],
    ] as const) {
      const answer = await client.send(method, path);
      expect(answer, path).toMatchObject({ status: 401, body: { error: { code: "TOKEN_INVALID" } } });
      expect(answer.headers.get("www-authenticate")).toContain("Bearer");
    }
    expect((await client.send("GET", "/keys")).status).toBe(200);
  });

  test("with the right id and another secret are refused", async () => {
    const token = await createTestToken(server.data, "main");
    const flipped = token.slice(0, -1) + (token.endsWith("A") ? "B" : "A");
    expect((await createClient(server.url, flipped).send("GET", "/whoami")).status).toBe(401);
    expect((await createClient(server.url, token).send("GET", "/whoami")).body).toMatchObject({
      principal: "main",
      lane: "main",
      readChain: ["main"],
      actions: ["write"],
    });
  });

  test("expire", async () => {
    const client = await server.client("main", { lifetime: 300 });
    expect((await client.send("GET", "/whoami")).status).toBe(200);
    await setTimeout(350);
    expect((await client.send("GET", "/whoami")).status).toBe(401);
  });

  test("are revoked within a second, while the server runs", async () => {
    const client = await server.client("main");
    expect((await client.send("GET", "/whoami")).status).toBe(200);
    await openTokens(join(server.data, "tokens")).revoke(client.token?.split("_")[1] ?? "");
    await expect.poll(async () => (await client.send("GET", "/whoami")).status, { timeout: 3000 }).toBe(401);
  });

  test("are kept without their secrets, readable by nobody else", async () => {
    const token = await createTestToken(server.data, "main");
    const secret = token.slice("varve_0123456789abcdef_".length);
    const directory = join(server.data, "tokens");
    for (const name of readdirSync(directory))
      expect(readFileSync(join(directory, name), "utf8")).not.toContain(secret);
  });

  test("that only read don't write", async () => {
    const reader = await server.client(undefined);
    const shared = await main.put("read only", "read only");
    expect((await reader.send("GET", `/records/${shared.key}`)).status).toBe(200);
    const bytes = Buffer.from("not to be written");
    expect((await reader.send("PUT", `/blobs/${digestOf(bytes)}`, bytes)).status).toBe(403);
    expect((await reader.send("PUT", `/records/${shared.key}`, shared)).status).toBe(403);
    expect((await reader.send("POST", `/leases/${keyOf("x")}`, { ttl: 5000, holder: "x" })).status).toBe(403);
    const parts = [{ digest: digestOf(bytes), size: bytes.length }];
    expect((await reader.send("POST", "/uploads", { ...parts[0], parts })).status).toBe(403);
  });
});

describe("--anonymous", () => {
  test("read lets strangers read main, and nothing else", async () => {
    await using open = await startTestServer({ anonymous: "read" });
    const writer = await open.client("main");
    const record = await writer.put("public", "public");
    expect((await open.stranger.send("GET", `/records/${record.key}`)).status).toBe(200);
    expect((await open.stranger.send("PUT", `/records/${record.key}`, record)).status).toBe(403);
    expect((await createClient(open.url, "varve_wrong").send("GET", "/whoami")).status).toBe(401);
  });

  test("write lets strangers write main", async () => {
    await using open = await startTestServer({ anonymous: "write" });
    const record = await open.stranger.put("open", "open");
    expect(signedOf(await open.stranger.send("GET", `/records/${record.key}`))).toMatchObject({
      lane: "main",
      principal: "anonymous",
    });
    expect((await open.stranger.send("POST", "/invalidate", { lane: "main" })).status).toBe(403);
  });
});

describe("POST /invalidate", () => {
  test("removes what one token wrote since a time, and nothing else", async () => {
    const admin = await server.client("main", { actions: ["admin"] });
    const leaked = await server.client("branch/x", { name: "leaked" });
    const other = await server.client("branch/x", { name: "other" });
    const [bad, good] = [await leaked.put("bad", "bad"), await other.put("fine", "fine")];
    const token = leaked.token?.split("_")[1];
    const future = new Date(Date.now() + 60_000).toISOString();
    expect((await admin.send("POST", "/invalidate", { token, after: future })).body).toEqual({ removed: 0, mounts: 0 });
    expect((await admin.send("POST", "/invalidate", { token })).body).toEqual({ removed: 1, mounts: 0 });
    expect((await other.send("GET", `/records/${bad.key}`)).status).toBe(404);
    expect((await other.send("GET", `/records/${good.key}`)).status).toBe(200);
  });

  test.each<[string, (key: string) => unknown, number]>([
    ["its key", (key) => ({ key }), 1],
    ["its key's first digits", (key) => ({ keyPrefix: key.slice(7, 27) }), 1],
    ["its producer", () => ({ producer: "test", lane: "branch/y" }), 1],
    ["its principal", () => ({ principal: "y" }), 1],
    ["its lane", () => ({ lane: "branch/y" }), 1],
    ["another lane", (key) => ({ key, lane: "main" }), 0],
    ["another producer", (key) => ({ key, producer: "someone" }), 0],
    ["the time before it", (key) => ({ key, before: "2020-01-01T00:00:00Z" }), 0],
  ])("finds a record by %s", async (_, wanted, count) => {
    const admin = await server.client("main", { actions: ["admin"] });
    const writer = await server.client("branch/y", { name: "y", actions: ["write", "replace"] });
    const record = await writer.put("found");
    expect((await admin.send("POST", "/invalidate", wanted(record.key))).body.removed).toBe(count);
    await admin.send("POST", "/invalidate", { lane: "branch/y" });
  });

  test("does not take nothing for everything, nor what it does not know", async () => {
    const admin = await server.client("main", { actions: ["admin"] });
    for (const wanted of [{}, { lanes: "main" }, { after: "yesterday" }])
      expect((await admin.send("POST", "/invalidate", wanted)).status).toBe(400);
  });
});

describe("lanes", () => {
  test.each(["main", "pr/12", "branch/feature/x", "dev/ann", "branch/a%2Fb"])("%s is one", (lane) => {
    expect(parseLane(lane)).toBe(lane);
  });

  test.each([
    "",
    "Main",
    "pr",
    "pr/",
    "pr//1",
    "pr/../main",
    "branch/.",
    "main/x",
    "other/x",
    "pr/1\n",
    `pr/${"x".repeat(300)}`,
  ])("%j is none", (lane) => {
    expect(() => parseLane(lane)).toThrow(expect.objectContaining({ code: "SETTINGS_INVALID" }));
  });

  test.each<[readonly string[], string | undefined]>([
    [["main"], "main"],
    [["pr/1", "main"], "pr/1"],
    [["pr/1", "dev/a", "branch/b", "main"], "pr/1"],
    [["branch/b", "main"], undefined],
  ])("%j goes up", (chain, lane) => {
    expect(checkReadChain(chain, lane)).toEqual(chain);
  });

  test.each<[readonly string[], string | undefined]>([
    [[], undefined],
    [["main", "pr/1"], "main"],
    [["pr/1", "pr/2"], "pr/1"],
    [["branch/a", "branch/b"], "branch/a"],
    [["main"], "pr/1"],
    [["main", "main"], "main"],
  ])("%j does not go up", (chain, lane) => {
    expect(() => checkReadChain(chain, lane)).toThrow(expect.objectContaining({ code: "SETTINGS_INVALID" }));
  });

  test("names made of texts are segments of lanes, and no two are the same", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "grapheme", maxLength: 15 }),
        fc.string({ unit: "grapheme", maxLength: 15 }),
        (a, b) => {
          const [first, second] = [encodeLaneName(a), encodeLaneName(b)];
          expect(parseLane(`pr/${first}`).split("/")).toHaveLength(2);
          expect(first === second).toBe(a === b);
        },
      ),
    );
  });
});
