import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { PROTOCOL_PATH } from "@varve/cache";
import { type Digest, digestOf, hexOf } from "@varve/oci";
import { type Client, indexBytes, layerBytes, makeRecord, startTestServer, type TestServer } from "./running-server.ts";

const MIB = 1024 * 1024;
const SIZE = 100_000;

/** A server with room for about ten blobs of `SIZE`; blobs that were just stored are not held for long there. */
function startSmall(settings: Readonly<Record<string, unknown>> = {}): Promise<TestServer> {
  return startTestServer({ budget: 10 * SIZE, useGranularity: 0, holdNew: 0, ...settings });
}

function hasFile(server: TestServer, digest: Digest): boolean {
  return existsSync(join(server.data, "blobs", hexOf(digest).slice(0, 2), hexOf(digest)));
}

async function isThere(client: Client, digest: Digest): Promise<boolean> {
  return (await client.send("HEAD", `/blobs/${digest}`)).status === 200;
}

async function pushMany(client: Client, count: number, size = SIZE): Promise<readonly Digest[]> {
  const digests: Digest[] = [];
  for (let number = 0; number < count; number += 1) digests.push(await client.push(randomBytes(size)));
  return digests;
}

describe("eviction", () => {
  test("keeps the server below its budget, and what was used last", async () => {
    await using server = await startSmall();
    const client = await server.client("main");
    const [first, second, ...others] = await pushMany(client, 9);
    if (first === undefined || second === undefined) throw new Error("nothing pushed");
    expect((await client.send("GET", `/blobs/${first}`)).status).toBe(200);
    await pushMany(client, 3);
    expect(await isThere(client, first)).toBe(true);
    expect(await isThere(client, second)).toBe(false);
    expect(hasFile(server, second)).toBe(false);
    expect(hasFile(server, others.at(-1) ?? first)).toBe(true);
    const { storage } = (await client.send("GET", "/stats")).body;
    expect(storage.bytes).toBeLessThanOrEqual(10 * SIZE);
    expect(storage.evictedBlobs).toBeGreaterThan(1);
  });

  test("takes records before their blobs: none names what is gone", async () => {
    await using server = await startSmall();
    const client = await server.client("main");
    const records = [];
    for (let number = 0; number < 5; number += 1) records.push(await client.put(`old ${number}`));
    await pushMany(client, 20);
    const keys = records.map(({ key }) => key);
    const found = (await client.send("POST", "/records/lookup", { keys })).body.records;
    expect(found).toEqual(keys.map(() => null));
    const { storage, lanes } = (await client.send("GET", "/stats")).body;
    expect(storage.records).toBe(0);
    expect(lanes).toEqual([{ lane: "main", bytes: storage.bytes, blobs: storage.blobs, records: 0 }]);
  });

  test("leaves alone what a client has asked about, since it is about to name it", async () => {
    await using server = await startSmall();
    const client = await server.client("main");
    await client.push(layerBytes("held"));
    await client.push(indexBytes("held"));
    const record = makeRecord("held", "held");
    const digests = [record.layer.descriptor.digest, record.layer.index.digest];
    expect((await client.send("POST", "/blobs/missing", { digests })).body).toEqual({ missing: [] });
    await pushMany(client, 20);
    expect((await client.send("PUT", `/records/${record.key}`, record)).status).toBe(201);
  });

  test("leaves alone what is being read", async () => {
    await using server = await startSmall({ budget: 40 * MIB });
    const client = await server.client("main");
    // More than the buffers of the connection hold, so that the server is not done before the reader goes on.
    const bytes = randomBytes(16 * MIB);
    const digest = await client.push(bytes);
    const received: Buffer[] = [];
    await new Promise<void>((resolve, reject) => {
      const url = `${server.url}${PROTOCOL_PATH}/blobs/${digest}`;
      const reading = request(url, { headers: { authorization: `Bearer ${client.token}` } }, (response) => {
        response.once("data", (chunk: Buffer) => {
          received.push(chunk);
          response.pause();
          const goOn = () => response.on("data", (more: Buffer) => received.push(more)).resume();
          pushMany(client, 5, 6 * MIB).then(goOn, reject);
        });
        response.on("end", resolve).on("error", reject);
      });
      reading.end();
    });
    expect(Buffer.concat(received).equals(bytes)).toBe(true);
    expect(await isThere(client, digest)).toBe(true);
    expect((await client.send("GET", "/stats")).body.storage.evictedBlobs).toBeGreaterThan(0);
  });

  test("makes room for an upload by parts, and gives it back when it is dropped", async () => {
    await using server = await startSmall();
    const client = await server.client("main");
    await pushMany(client, 9);
    const parts = Array.from({ length: 5 }, () => randomBytes(SIZE));
    const upload = {
      digest: digestOf(Buffer.concat(parts)),
      size: 5 * SIZE,
      parts: parts.map((part) => ({ digest: digestOf(part), size: SIZE })),
    };
    const { body, status } = await client.send("POST", "/uploads", upload);
    expect(status).toBe(201);
    const before = (await client.send("GET", "/stats")).body.storage;
    expect(before.bytes).toBeLessThanOrEqual(5 * SIZE);
    await client.send("DELETE", `/uploads/${body.id}`);
    await pushMany(client, 4);
    expect((await client.send("GET", "/stats")).body.storage.bytes).toBeGreaterThan(5 * SIZE);
  });

  test("refuses with 507 what would need room that is in use, and with 413 what never fits", async () => {
    await using server = await startSmall({ holdNew: 600_000 });
    const client = await server.client("main");
    await pushMany(client, 9);
    const bytes = randomBytes(2 * SIZE);
    const full = await client.send("PUT", `/blobs/${digestOf(bytes)}`, bytes);
    expect(full).toMatchObject({ status: 507, body: { error: { code: "STORAGE_FULL" } } });
    const large = randomBytes(11 * SIZE);
    expect((await client.send("PUT", `/blobs/${digestOf(large)}`, large)).status).toBe(413);
  });

  test("holds lanes to their quotas", async () => {
    await using server = await startSmall({ quotas: [{ lane: "pr/*", bytes: "300KB" }], holdNew: 600_000 });
    const [pull, main] = [await server.client("pr/1"), await server.client("main")];
    await pushMany(pull, 3);
    await expect(pull.push(randomBytes(SIZE))).rejects.toThrow("QUOTA_EXCEEDED");
    await pushMany(main, 4);
    const bytes = randomBytes(SIZE);
    await main.push(bytes);
    expect(await isThere(pull, digestOf(bytes))).toBe(true);
    await expect(pull.put("over quota")).rejects.toThrow("QUOTA_EXCEEDED");
  });
});
