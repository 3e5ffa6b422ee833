import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Client, keyOf, startTestServer, type TestServer } from "./running-server.ts";

let server: TestServer;
let main: Client;
beforeAll(async () => {
  server = await startTestServer();
  main = await server.client("main");
});
afterAll(() => server[Symbol.asyncDispose]());

function acquire(name: string, ttl = 5000) {
  return main.send("POST", `/leases/${keyOf(name)}`, { ttl, holder: "worker" });
}

function wait(name: string, timeout: number) {
  return main.send("GET", `/leases/${keyOf(name)}/wait?timeout=${timeout}`);
}

describe("a lease", () => {
  test("is granted to one, with a fence that grows", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => acquire("one")));
    const granted = answers.filter(({ status }) => status === 201);
    expect(granted).toHaveLength(1);
    const { token, fence, ttl } = granted[0]?.body ?? {};
    expect(ttl).toBe(5000);
    for (const { body } of answers) if (body.granted === false) expect(body.holder).toBe("worker");
    expect((await main.send("DELETE", `/leases/${keyOf("one")}?token=${token}`)).status).toBe(204);
    const next = await acquire("one");
    expect(next.status).toBe(201);
    expect(next.body.fence).toBeGreaterThan(fence);
    expect((await main.send("PUT", `/leases/${keyOf("one")}`, { token, ttl: 5000 })).status).toBe(404);
  });

  test("is extended by its holder", async () => {
    const { body } = await acquire("extended");
    const before = Date.now();
    const extended = await main.send("PUT", `/leases/${keyOf("extended")}`, { token: body.token, ttl: 60_000 });
    expect(Date.parse(extended.body.expiresAt)).toBeGreaterThanOrEqual(before + 60_000);
  });

  test("is not needed where there is a record", async () => {
    const record = await main.put("built");
    expect((await acquire("built")).body).toMatchObject({ record: { record: { key: record.key } } });
  });

  test("of a dead holder passes on to one of those who wait", async () => {
    expect((await acquire("dead")).status).toBe(201);
    const started = performance.now();
    const waiters = await Promise.all(Array.from({ length: 5 }, () => wait("dead", 20_000)));
    expect(waiters.map(({ body }) => body.state)).toEqual(Array.from({ length: 5 }, () => "free"));
    expect(performance.now() - started).toBeGreaterThan(4000);
    const answers = await Promise.all(waiters.map(() => acquire("dead")));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
  });

  test.each([{ ttl: 100, holder: "x" }, { ttl: 100_000, holder: "x" }, { ttl: 5000 }])(
    "is not granted for %j",
    async (body) => {
      expect((await main.send("POST", `/leases/${keyOf("bad")}`, body)).status).toBe(400);
    },
  );
});

describe("waiting", () => {
  test("ends with the record as soon as it is there", async () => {
    await acquire("awaited");
    const waiting = Promise.all(Array.from({ length: 50 }, () => wait("awaited", 30_000)));
    await setTimeout(100);
    const record = await main.put("awaited");
    for (const { body } of await waiting) expect(body).toMatchObject({ state: "record", record: { record } });
  });

  test("ends at its timeout, and tells who holds the lease", async () => {
    await acquire("slow");
    expect((await wait("slow", 50)).body).toMatchObject({ state: "held", holder: "worker" });
  });

  test("ends at once where nobody builds", async () => {
    expect((await wait("nobody", 30_000)).body).toEqual({ state: "free" });
  });

  test("ends when the lease is given back", async () => {
    const { body } = await acquire("returned");
    const waiting = wait("returned", 30_000);
    await setTimeout(50);
    await main.send("DELETE", `/leases/${keyOf("returned")}?token=${body.token}`);
    expect((await waiting).body).toEqual({ state: "free" });
  });

  test("ends when the server stops", async () => {
    await using other = await startTestServer();
    const client = await other.client("main");
    await client.send("POST", `/leases/${keyOf("x")}`, { ttl: 60_000, holder: "worker" });
    const waiting = client.send("GET", `/leases/${keyOf("x")}/wait?timeout=60000`);
    await setTimeout(100);
    await other.stop();
    expect((await waiting).body).toMatchObject({ state: "held" });
  });
});
