import { fork } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { type ContentSource, type Descriptor, digestOf, readChunks } from "@varve/oci";
import {
  bytesOf,
  describeContentStore,
  describeIngestStore,
  describeTarget,
  inChunks,
  randomBlob,
  randomImage,
} from "@varve/oci/testing";
import { type CacheRecord, createMemoryCache, type LocalStore, openLocalStore } from "../src/index.ts";
import { describeCache, pushRandomRecord } from "../src/testing.ts";

const root = mkdtempSync(join(tmpdir(), "varve-cache-"));
const [name1, name2] = [digestOf(Buffer.from("1")), digestOf(Buffer.from("2"))];
let count = 0;
const newPath = (): string => join(root, String((count += 1)));
const openContent = async (): Promise<{ readonly store: LocalStore["content"]; close(): Promise<void> }> => {
  const store = await openLocalStore(newPath());
  return { store: store.content, close: async () => store[Symbol.asyncDispose]() };
};
afterAll(() => rmSync(root, { recursive: true, force: true }));

describeCache("createMemoryCache()", async () => createMemoryCache());
describeCache("openLocalStore()", () => openLocalStore(newPath()));
describeContentStore("openLocalStore()", openContent);
describeIngestStore("openLocalStore()", openContent);
describeTarget("openLocalStore()", openContent);

describe("openLocalStore()", () => {
  test("keeps records, memos and names from one opening to the next", async () => {
    const path = newPath();
    const before = await openLocalStore(path);
    const record = await pushRandomRecord(before, "a");
    await before.index.put(record);
    await before.memo.put("n", "k", Buffer.from("v"));
    const image = await randomImage(before.content);
    await before.content.tag(image, "x");
    await before[Symbol.asyncDispose]();
    await using after = await openLocalStore(path);
    expect(await after.index.getMany([record.key])).toEqual([record]);
    expect(Buffer.from((await after.memo.get("n", "k")) ?? []).toString()).toBe("v");
    expect(await after.memo.get("n", "other")).toBeUndefined();
    expect(await after.content.resolve("x")).toMatchObject({ digest: image.digest });
  });

  test("keeps large memos as files, whole, and small ones that take their place", async () => {
    const path = newPath();
    const value = Buffer.alloc(100_000, "large");
    await using store = await openLocalStore(path);
    await store.memo.put("some/1", "key", value);
    expect(readdirSync(join(path, "memo"))).toEqual(["some-1"]);
    expect(Buffer.from((await store.memo.get("some/1", "key"))!).equals(value)).toBe(true);
    await store.memo.put("some/1", "key", Buffer.from("small"));
    expect(Buffer.from((await store.memo.get("some/1", "key"))!).toString()).toBe("small");
  });

  test.each([
    ["fetch()", (content: ContentSource, descriptor: Descriptor) => content.fetch(descriptor)],
    ["readChunks()", readChunks],
  ])("misses a record whose blob is gone, and sets a damaged blob aside that %s finds", async (_, read) => {
    await using store = await openLocalStore(newPath());
    const record = await pushRandomRecord(store, "a");
    await store.index.put(record);
    const file = store.blobPath(record.layer?.descriptor.digest ?? "sha256:");
    if (file === undefined || record.layer === undefined) throw new Error("no blob");
    writeFileSync(file, readFileSync(file).fill(7, 0, 9));
    await expect(bytesOf(read(store.content, record.layer.descriptor))).rejects.toMatchObject({
      code: "DIGEST_MISMATCH",
    });
    expect(existsSync(file)).toBe(false);
    expect(await store.index.getMany([record.key])).toEqual([undefined]);
  });

  test("misses what is damaged in the index", async () => {
    const path = newPath();
    const before = await openLocalStore(path);
    const record = await pushRandomRecord(before, "a");
    await before.index.put(record);
    await before[Symbol.asyncDispose]();
    const { Level } = await import("level");
    const level = new Level(join(path, "index"));
    await level.put(`record/1/${record.key.slice(7)}`, "{damaged");
    await level.close();
    await using after = await openLocalStore(path);
    expect(await after.index.getMany([record.key])).toEqual([undefined]);
    expect(await after.index.put(record)).toEqual({ outcome: "stored" });
  });

  describe("recall()", () => {
    const name = digestOf(Buffer.from("a build"));
    /** A store in which a build of this name used `record`, and closed. */
    const openUsed = async (): Promise<{ readonly path: string; readonly record: CacheRecord }> => {
      const path = newPath();
      await using store = await openLocalStore(path);
      const keep = store.recall(name);
      const record = await pushRandomRecord(store, "a");
      await store.index.put(record);
      keep();
      return { path, record };
    };
    const find = async (path: string, { key }: CacheRecord, by = name): Promise<CacheRecord | undefined> => {
      await using store = await openLocalStore(path);
      const keep = store.recall(by);
      const [found] = await store.index.getMany([key]);
      keep();
      return found;
    };

    test("has records at hand that the last build of the name used, without the index", async () => {
      const { path, record } = await openUsed();
      rmSync(join(path, "index"), { recursive: true });
      expect(await find(path, record)).toEqual(record);
      expect(existsSync(join(path, "index"))).toBe(false);
      expect(await find(path, record, digestOf(Buffer.from("another build")))).toBeUndefined();
    });

    test("keeps what was found in the index for the next build", async () => {
      const { path, record } = await openUsed();
      rmSync(join(path, "memo"), { recursive: true });
      expect(await find(path, record)).toEqual(record);
      rmSync(join(path, "index"), { recursive: true });
      expect(await find(path, record)).toEqual(record);
    });

    test("gives the record that took the place of another one", async () => {
      const { path, record } = await openUsed();
      await using store = await openLocalStore(path);
      const keep = store.recall(name);
      expect(await store.index.getMany([record.key])).toEqual([record]);
      const replaced = { ...(await pushRandomRecord(store, "b")), key: record.key };
      await using other = await openLocalStore(path);
      await other.index.put(replaced, { replace: true });
      // What was read before is not kept for later builds.
      keep();
      expect(await find(path, record)).toEqual(replaced);
      expect(await find(path, record)).toEqual(replaced);
    });

    test("misses a record whose blob is gone, and one that is damaged where it is kept", async () => {
      const { path, record } = await openUsed();
      const kept = join(path, "memo", "recent-1", name.slice(7));
      writeFileSync(kept, readFileSync(kept).subarray(9));
      expect(await find(path, record)).toEqual(record);
      rmSync(join(path, "blobs", "sha256", record.layer?.index.digest.slice(7) ?? ""));
      expect(await find(path, record)).toBeUndefined();
    });

    test("gives the record that was made anew after a blob was gone", async () => {
      const { path, record } = await openUsed();
      rmSync(join(path, "blobs", "sha256", record.layer?.index.digest.slice(7) ?? ""));
      rmSync(join(path, "index"), { recursive: true });
      await using other = await openLocalStore(path);
      const anew = { ...(await pushRandomRecord(other, "b")), key: record.key };
      await other.index.put(anew);
      expect(await find(path, record)).toEqual(anew);
    });
  });

  test("gives what builds ask for that find everything as it was without the index, and moves what stood there", async () => {
    const path = newPath();
    const before = await openLocalStore(path);
    await before.memo.put("selection/2", name1, Buffer.from("v"));
    await before[Symbol.asyncDispose]();
    expect(existsSync(join(path, "index"))).toBe(false);
    const { Level } = await import("level");
    const level = new Level<string, Uint8Array>(join(path, "index"), { valueEncoding: "view" });
    await level.put(`memo/1/selection/2/${name2}`, Buffer.from("w"));
    await level.close();
    for (const round of [1, 2]) {
      await using store = await openLocalStore(path);
      expect(Buffer.from((await store.memo.get("selection/2", name1)) ?? []).toString()).toBe("v");
      expect(Buffer.from((await store.memo.get("selection/2", name2)) ?? []).toString()).toBe("w");
      if (round === 1) rmSync(join(path, "index"), { recursive: true });
    }
  });

  test("refuses a store of another format", async () => {
    const path = newPath();
    await (await openLocalStore(path))[Symbol.asyncDispose]();
    writeFileSync(join(path, "varve-store"), "99\n");
    await expect(openLocalStore(path)).rejects.toMatchObject({ code: "FORMAT_UNSUPPORTED" });
  });

  test("is opened by many at once where it was not yet", async () => {
    for (let round = 0; round < 20; round += 1) {
      const path = newPath();
      const openings = Array.from({ length: 12 }, async (_, turn) => {
        await setTimeout(turn / 4);
        return openLocalStore(path);
      });
      for (const store of await Promise.all(openings)) await store[Symbol.asyncDispose]();
      expect(readdirSync(path).filter((name) => name.startsWith("varve-store"))).toEqual(["varve-store"]);
    }
  });

  test("is opened where its making was broken off", async () => {
    const path = newPath();
    mkdirSync(path);
    writeFileSync(join(path, "varve-store"), "");
    await (await openLocalStore(path))[Symbol.asyncDispose]();
    expect(readFileSync(join(path, "varve-store"), "utf8")).toBe("1\n");
  });

  test("removes what dead processes left, and nothing of living ones", async () => {
    const path = newPath();
    const living = await openLocalStore(path);
    const kept = await living.makeTemporaryDirectory("tmp");
    const { mkdirSync } = await import("node:fs");
    mkdirSync(join(path, "tmp", "999999-1-dead"));
    mkdirSync(join(path, "mounts", "999999-1-dead"));
    await using other = await openLocalStore(path);
    expect(readdirSync(join(path, "tmp"))).toEqual([kept.slice(kept.lastIndexOf("/") + 1)]);
    expect(readdirSync(join(path, "mounts"))).toEqual([]);
    await living[Symbol.asyncDispose]();
    expect(existsSync(kept)).toBe(false);
    expect(other.path).toBe(path);
  });

  test("does what a memory cache does, whatever is asked of it", async () => {
    const operation = fc.record({
      put: fc.boolean(),
      key: fc.integer({ min: 0, max: 3 }),
      layer: fc.integer({ min: 0, max: 2 }),
      replace: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 12 }), async (operations) => {
        await using store = await openLocalStore(newPath());
        const memory = createMemoryCache();
        const records = await Promise.all([0, 1, 2].map((number) => pushRandomRecord(memory, String(number))));
        for (const { layer } of records) {
          for (const descriptor of layer === undefined ? [] : [layer.descriptor, layer.index])
            await store.content.push(descriptor, memory.content.fetch(descriptor) as AsyncIterable<Uint8Array>);
        }
        for (const { put, key, layer, replace } of operations) {
          const name = records[key % records.length]?.key ?? "sha256:";
          const chosen = records[layer];
          if (chosen === undefined) throw new Error("no record");
          const record = { ...chosen, key: name };
          const answers = await Promise.all(
            [memory, store].map(({ index }) => (put ? index.put(record, { replace }) : index.getMany([name]))),
          );
          expect(answers[1]).toEqual(answers[0]);
        }
      }),
      { numRuns: 15 },
    );
  });

  test("is shared by eight processes without failing, losing or tearing anything", async () => {
    const path = newPath();
    const child = join(import.meta.dirname, "store-user.ts");
    const exits = Array.from({ length: 8 }, (_, number) => {
      const process_ = fork(child, [path, String(number)], { execArgv: ["--conditions=@varve/source"] });
      return new Promise<number | null>((resolve) => process_.once("exit", resolve));
    });
    expect(await Promise.all(exits)).toEqual(Array.from({ length: 8 }, () => 0));
    await using store = await openLocalStore(path);
    expect(await store.content.list()).toHaveLength(8);
    for (let number = 0; number < 8; number += 1) {
      for (let turn = 0; turn < 20; turn += 1) expect(await store.memo.get("turns", `${number}/${turn}`)).toBeDefined();
    }
    expect(readdirSync(join(path, "leases"))).toHaveLength(1);
  });

  test.each(["/proc/store/below", "/etc/passwd/store"])("says that it can't be at %s", async (path) => {
    await expect(openLocalStore(path)).rejects.toMatchObject({ code: "STORE_UNWRITABLE" });
  });

  test("opens cleanly after a process was killed in the middle", async () => {
    const path = newPath();
    const child = fork(join(import.meta.dirname, "store-user.ts"), [path, "0", "forever"], {
      execArgv: ["--conditions=@varve/source"],
    });
    await new Promise((resolve) => child.once("message", resolve));
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("exit", resolve));
    await using store = await openLocalStore(path);
    expect(readdirSync(join(path, "tmp"))).toEqual([]);
    const { bytes, descriptor } = randomBlob(10);
    await store.content.push(descriptor, inChunks(bytes));
    await store.memo.put("a", "b", bytes);
  });
});
