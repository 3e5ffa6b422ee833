import { spawn } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { SignedRecord } from "@varve/cache";
import { digestOf } from "@varve/oci";
import { type Client, createClient, createTestToken, makeRecord } from "./running-server.ts";
import { MAIN_SCRIPT, type ServerProcess, startProcess } from "./server-process.ts";

let data: string;
let token: string;
let server: ServerProcess | undefined;

const BUDGET = 2_000_000;

function settings(): readonly string[] {
  return ["--port", "0", "--data", data, "--min-free", "0", "--log-level", "warn"];
}

async function start(...more: readonly string[]): Promise<Client> {
  server = await startProcess([...settings(), ...more]);
  return createClient(server.url, token);
}

async function kill(): Promise<void> {
  await server?.end("SIGKILL");
  server = undefined;
}

type Work = (client: Client, confirmed: string[]) => Promise<void>;

/** Sends what `work` does over and over; soon after something more was confirmed, the server is killed. */
async function workUntilKilled(client: Client, work: Work, confirmed: string[]): Promise<void> {
  const over = new AbortController();
  const before = confirmed.length;
  const workers = Array.from({ length: 6 }, async () => {
    while (!over.signal.aborted) await work(client, confirmed).catch(() => undefined);
  });
  while (confirmed.length === before) await setTimeout(10);
  await setTimeout(randomInt(0, 500));
  await kill();
  over.abort();
  await Promise.all(workers);
}

/** A record with a layer of some 100 kB whose bytes its digest tells. */
async function putRandom(client: Client, put: string[]): Promise<void> {
  const name = randomBytes(6).toString("hex");
  const bytes = randomBytes(randomInt(1, 200_000));
  const index = randomBytes(300);
  const record = makeRecord(name, name);
  const layer = {
    ...record.layer,
    descriptor: { ...record.layer.descriptor, digest: await client.push(bytes), size: bytes.length },
    index: { ...record.layer.index, digest: await client.push(index), size: index.length },
  };
  const { status } = await client.send("PUT", `/records/${record.key}`, { ...record, layer });
  if (status === 201) put.push(record.key);
}

/** Sends a blob of a few parts, and commits it. */
async function uploadRandom(client: Client, committed: string[]): Promise<void> {
  const parts = Array.from({ length: 5 }, () => randomBytes(randomInt(1, 50_000)));
  const whole = Buffer.concat(parts);
  const descriptors = parts.map((part) => ({ digest: digestOf(part), size: part.length }));
  const { body } = await client.send("POST", "/uploads", {
    digest: digestOf(whole),
    size: whole.length,
    parts: descriptors,
  });
  await client.send("PUT", `/uploads/${body.id}/parts?first=0&count=2`, Buffer.concat(parts.slice(0, 2)));
  await client.send("PUT", `/uploads/${body.id}/parts?first=0&count=3`, Buffer.concat(parts.slice(2)));
  const { status } = await client.send("POST", `/uploads/${body.id}/commit`);
  if (status === 201) committed.push(digestOf(whole));
}

interface Kept {
  readonly records: readonly string[];
  readonly blobs: readonly string[];
}

/** Looks at all that the server has: each record's blobs are there, each blob has its digest, no file is unknown. */
async function checkAll(client: Client, { records, blobs }: Kept): Promise<{ readonly found: number }> {
  let found = 0;
  for (let start = 0; start < records.length; start += 1000) {
    const keys = records.slice(start, start + 1000);
    const answer = await client.send("POST", "/records/lookup", { keys });
    for (const each of answer.body.records as (SignedRecord | null)[]) {
      const layer = each?.record.layer;
      if (layer === undefined) continue;
      found += 1;
      for (const { digest, size } of [layer.descriptor, layer.index]) {
        const blob = await client.send("GET", `/blobs/${digest}`);
        expect(blob.status, "a record names a blob that is gone").toBe(200);
        expect(blob.bytes.length).toBe(size);
        expect(digestOf(blob.bytes), "a blob has other bytes").toBe(digest);
      }
    }
  }
  for (const digest of blobs) {
    const blob = await client.send("GET", `/blobs/${digest}`);
    if (blob.status === 200) found += 1;
    if (blob.status === 200) expect(digestOf(blob.bytes)).toBe(digest);
  }
  await expect.poll(() => unknownFiles(client), { timeout: 10_000 }).toEqual([]);
  return { found };
}

/** Files in the place of blobs that the server does not know, or whose bytes are not theirs. */
async function unknownFiles(client: Client): Promise<readonly string[]> {
  const unknown: string[] = [];
  const digests = readdirSync(join(data, "blobs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.length > 60)
    .map((name) => `sha256:${name.split("/")[1]}`);
  for (const digest of digests) {
    const hex = digest.slice("sha256:".length);
    if ((await client.send("HEAD", `/blobs/${digest}`)).status !== 200) unknown.push(digest);
    else if (digestOf(readFileSync(join(data, "blobs", hex.slice(0, 2), hex))) !== digest) unknown.push(digest);
  }
  return unknown;
}

/** What a server must be able to stand; `rounds`: how often it is killed in each test. */
export function describeCrashes(rounds: number): void {
  beforeEach(async () => {
    data = mkdtempSync(join(tmpdir(), "varve-crash-"));
    token = await createTestToken(data, "main");
  });
  afterEach(async () => {
    await server?.end("SIGKILL");
    rmSync(data, { recursive: true, force: true });
  });
  describe("a server that is killed", () => {
    test("while blobs and records come has all that it confirmed, and nothing else", async () => {
      const put: string[] = [];
      for (let round = 0; round < rounds; round += 1) await workUntilKilled(await start(), putRandom, put);
      const { found } = await checkAll(await start(), { records: put, blobs: [] });
      expect(found).toBe(put.length);
      expect(found).toBeGreaterThan(0);
      expect(readdirSync(join(data, "tmp"))).toEqual([]);
    });

    test("while uploads are put together has whole blobs or none", async () => {
      const committed: string[] = [];
      for (let round = 0; round < rounds; round += 1) await workUntilKilled(await start(), uploadRandom, committed);
      const { found } = await checkAll(await start(), { records: [], blobs: committed });
      expect(found).toBe(committed.length);
      expect(found).toBeGreaterThan(0);
    });

    test("while it evicts has no record without its blobs, and stays below its budget", async () => {
      const put: string[] = [];
      const small = ["--budget", String(BUDGET), "--hold-new", "0", "--use-granularity", "0"];
      for (let round = 0; round < rounds + 1; round += 1) await workUntilKilled(await start(...small), putRandom, put);
      const client = await start(...small);
      for (let number = 0; number < 25; number += 1) await putRandom(client, put);
      const { storage } = (await client.send("GET", "/stats")).body;
      expect(storage.evictedBlobs).toBeGreaterThan(0);
      expect(storage.bytes).toBeLessThanOrEqual(BUDGET);
      const { found } = await checkAll(client, { records: put, blobs: [] });
      expect(found).toBe(storage.records);
      const sizes = readdirSync(join(data, "blobs"), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => readFileSync(join(entry.parentPath, entry.name)).length);
      expect(sizes.length).toBe(storage.blobs);
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(storage.bytes);
    });

    test("while it starts starts again", async () => {
      const put: string[] = [];
      await putRandom(await start(), put);
      await kill();
      for (let round = 0; round < rounds + 1; round += 1) {
        // Anywhere from before its first line of code to after its first answer.
        const child = spawn(process.execPath, [...MAIN_SCRIPT, ...settings()], { stdio: "ignore" });
        await setTimeout(randomInt(100, 1500));
        child.kill("SIGKILL");
        await once(child, "exit");
      }
      expect((await checkAll(await start(), { records: put, blobs: [] })).found).toBe(1);
    });
  });
}
