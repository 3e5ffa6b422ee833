import { randomBytes } from "node:crypto";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { digestOf, hexOf } from "@varve/oci";
import { type Answer, type Client, startTestServer, type TestServer } from "./running-server.ts";

let server: TestServer;
let main: Client;
beforeAll(async () => {
  server = await startTestServer();
  main = await server.client("main");
});
afterAll(() => server[Symbol.asyncDispose]());

const SIZES = [1000, 70_000, 1, 200_000, 3000];

function makeParts(): readonly Buffer[] {
  return SIZES.map((size) => randomBytes(size));
}

function uploadOf(parts: readonly Buffer[]): {
  digest: string;
  size: number;
  parts: { digest: string; size: number }[];
} {
  const whole = Buffer.concat(parts);
  return {
    digest: digestOf(whole),
    size: whole.length,
    parts: parts.map((part) => ({ digest: digestOf(part), size: part.length })),
  };
}

function begin(client: Client, parts: readonly Buffer[]): Promise<Answer> {
  return client.send("POST", "/uploads", uploadOf(parts));
}

async function uploadAll(client: Client, parts: readonly Buffer[]): Promise<string> {
  const { body } = await begin(client, parts);
  const missing = body.missing as number[];
  const bytes = Buffer.concat(missing.map((position) => parts[position] ?? Buffer.alloc(0)));
  if (missing.length > 0) await client.send("PUT", `/uploads/${body.id}/parts?first=0&count=${missing.length}`, bytes);
  const committed = await client.send("POST", `/uploads/${body.id}/commit`);
  expect(committed.status).toBe(201);
  return uploadOf(parts).digest;
}

async function readBack(client: Client, parts: readonly Buffer[]): Promise<boolean> {
  const { status, bytes } = await client.send("GET", `/blobs/${uploadOf(parts).digest}`);
  return status === 200 && bytes.equals(Buffer.concat(parts));
}

describe("an upload", () => {
  test("takes parts in any requests, and is a blob when it is committed", async () => {
    const parts = makeParts();
    const { status, body } = await begin(main, parts);
    expect(status).toBe(201);
    expect(body.missing).toEqual([0, 1, 2, 3, 4]);
    const path = `/uploads/${body.id}`;
    const second = await main.send("PUT", `${path}/parts?first=3&count=2`, Buffer.concat(parts.slice(3)));
    expect(second.body.missing).toEqual([0, 1, 2]);
    expect((await main.send("POST", `${path}/commit`)).body).toMatchObject({ missing: [0, 1, 2] });
    expect(await readBack(main, parts)).toBe(false);
    await main.send("PUT", `${path}/parts?first=0&count=2`, Buffer.concat(parts.slice(0, 2)));
    expect((await main.send("GET", path)).body.missing).toEqual([2]);
    await main.send("PUT", `${path}/parts?first=0&count=1`, parts[2]);
    expect((await main.send("POST", `${path}/commit`)).status).toBe(201);
    expect(await readBack(main, parts)).toBe(true);
    expect((await main.send("GET", path)).status).toBe(404);
    expect((await begin(main, parts)).body).toEqual({ id: null, missing: [] });
  });

  test("needs only the parts that changed", async () => {
    const parts = makeParts();
    await uploadAll(main, parts);
    const changed = [...parts.slice(0, 3), randomBytes(150_000), ...parts.slice(4)];
    const { body } = await begin(main, changed);
    expect(body.missing).toEqual([3]);
    await main.send("PUT", `/uploads/${body.id}/parts?first=0&count=1`, changed[3]);
    expect((await main.send("POST", `/uploads/${body.id}/commit`)).status).toBe(201);
    expect(await readBack(main, changed)).toBe(true);
  });

  test("takes a whole blob as a part", async () => {
    const [a, b] = [randomBytes(5000), randomBytes(10)];
    await main.push(a);
    expect((await begin(main, [b, a])).body.missing).toEqual([0]);
  });

  test("keeps what was complete of a request that goes wrong", async () => {
    const parts = makeParts();
    const { body } = await begin(main, parts);
    const bytes = Buffer.concat([parts[0] ?? "", randomBytes(70_000), parts[2] ?? ""] as Buffer[]);
    const answer = await main.send("PUT", `/uploads/${body.id}/parts?first=0&count=3`, bytes);
    expect(answer).toMatchObject({ status: 400, body: { error: { code: "DIGEST_MISMATCH" } } });
    expect((await main.send("GET", `/uploads/${body.id}`)).body.missing).toEqual([1, 2, 3, 4]);
  });

  test("refuses a request whose length is not that of its parts", async () => {
    const parts = makeParts();
    const { body } = await begin(main, parts);
    const answer = await main.send("PUT", `/uploads/${body.id}/parts?first=0&count=1`, Buffer.alloc(999));
    expect(answer).toMatchObject({ status: 400, body: { error: { code: "SIZE_MISMATCH" } } });
  });

  test("of parts that do not make the blob is refused at the end", async () => {
    const parts = makeParts();
    const wrong = { ...uploadOf(parts), digest: digestOf(Buffer.from("something else")) };
    const { body } = await main.send("POST", "/uploads", wrong);
    await main.send("PUT", `/uploads/${body.id}/parts?first=0&count=5`, Buffer.concat(parts));
    const answer = await main.send("POST", `/uploads/${body.id}/commit`);
    expect(answer).toMatchObject({ status: 400, body: { error: { code: "DIGEST_MISMATCH" } } });
    expect((await main.send("GET", `/blobs/${wrong.digest}`)).status).toBe(404);
  });

  test("asks again for parts whose blob went bad or away, and then completes", async () => {
    const parts = makeParts();
    const digest = await uploadAll(main, parts);
    const file = join(server.data, "blobs", hexOf(digest as `sha256:${string}`).slice(0, 2), digest.slice(7));
    const longer = [...parts, randomBytes(100)];
    const { body } = await begin(main, longer);
    expect(body.missing).toEqual([5]);
    const damaged = Buffer.concat(parts);
    damaged.fill(0, 1000, 1010);
    writeFileSync(file, damaged);
    await main.send("PUT", `/uploads/${body.id}/parts?first=0&count=1`, longer[5]);
    const incomplete = await main.send("POST", `/uploads/${body.id}/commit`);
    expect(incomplete).toMatchObject({ status: 422, body: { error: { code: "UPLOAD_INCOMPLETE" }, missing: [1] } });
    rmSync(file);
    const without = await main.send("PUT", `/uploads/${body.id}/parts?first=0&count=1`, longer[1]);
    expect(without.status).toBe(200);
    const gone = await main.send("POST", `/uploads/${body.id}/commit`);
    expect(gone.body.missing).toEqual([0, 2, 3, 4]);
    const rest = Buffer.concat([0, 2, 3, 4].map((position) => longer[position] ?? Buffer.alloc(0)));
    await main.send("PUT", `/uploads/${body.id}/parts?first=0&count=4`, rest);
    expect((await main.send("POST", `/uploads/${body.id}/commit`)).status).toBe(201);
    expect(await readBack(main, longer)).toBe(true);
  });

  test("belongs to who began it", async () => {
    const { body } = await begin(main, makeParts());
    const [other, sameLane] = [await server.client("pr/7"), await server.client("main", { name: "somebody else" })];
    for (const client of [other, sameLane]) {
      expect((await client.send("GET", `/uploads/${body.id}`)).status).toBe(404);
      expect((await client.send("POST", `/uploads/${body.id}/commit`)).status).toBe(404);
      expect((await client.send("DELETE", `/uploads/${body.id}`)).status).toBe(404);
    }
    expect((await main.send("DELETE", `/uploads/${body.id}`)).status).toBe(204);
    expect((await main.send("GET", `/uploads/${body.id}`)).status).toBe(404);
  });

  test("goes on after the server was started anew", async () => {
    await using first = await startTestServer();
    const client = await first.client("main");
    const parts = makeParts();
    const { body } = await begin(client, parts);
    await client.send("PUT", `/uploads/${body.id}/parts?first=0&count=2`, Buffer.concat(parts.slice(0, 2)));
    await first.stop();
    await using again = await startTestServer({ data: first.data });
    const later = await again.client("main");
    expect((await later.send("GET", `/uploads/${body.id}`)).body.missing).toEqual([2, 3, 4]);
    await later.send("PUT", `/uploads/${body.id}/parts?first=0&count=3`, Buffer.concat(parts.slice(2)));
    expect((await later.send("POST", `/uploads/${body.id}/commit`)).status).toBe(201);
    expect(await readBack(later, parts)).toBe(true);
  });

  test("that nobody touches is over, and its file removed", async () => {
    await using short = await startTestServer({ uploadLifetime: 1000 });
    const client = await short.client("main");
    await begin(client, makeParts());
    await short.stop();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await using again = await startTestServer({ data: short.data });
    expect(readdirSync(join(again.data, "uploads"))).toEqual([]);
    expect((await (await again.client("main")).send("GET", "/stats")).body.storage.uploads).toBe(0);
  });

  test.each<[string, (upload: ReturnType<typeof uploadOf>) => unknown]>([
    ["sizes that do not add up", (upload) => ({ ...upload, size: upload.size + 1 })],
    ["no parts", (upload) => ({ ...upload, parts: [] })],
    ["an empty part", (upload) => ({ ...upload, parts: [{ digest: upload.digest, size: 0 }, ...upload.parts] })],
    ["a part of 100 MiB", (upload) => ({ ...upload, parts: [{ digest: upload.digest, size: 104_857_600 }] })],
  ])("with %s is refused", async (_, change) => {
    expect((await main.send("POST", "/uploads", change(uploadOf(makeParts())))).status).toBe(400);
  });

  test("is refused where its principal has too many", async () => {
    const busy = await server.client("dev/busy");
    const answers: number[] = [];
    for (let count = 0; count < 65; count += 1) answers.push((await begin(busy, [randomBytes(10)])).status);
    expect(answers.slice(0, 64)).toEqual(Array.from({ length: 64 }, () => 201));
    expect(answers[64]).toBe(429);
  });
});
