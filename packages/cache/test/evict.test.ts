import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { type Descriptor, type Digest, hexOf, parseDigest, REF_NAME } from "@varve/oci";
import { bytesOf, pushBytes, randomBlob, randomImage, validateImage } from "@varve/oci/testing";
import { type CacheRecord, type EvictOptions, type LocalStore, openLocalStore } from "../src/index.ts";
import { pushRandomRecord } from "../src/testing.ts";

const root = mkdtempSync(join(tmpdir(), "varve-evict-"));
let count = 0;
const newPath = (): string => join(root, String((count += 1)));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const ALL: EvictOptions = {
  maxUsedSpace: undefined,
  unusedSince: undefined,
  images: "keep",
  pinned: new Set(),
  signal: new AbortController().signal,
};
const HOUR = 3_600_000;

/** Lets something have been used so many hours ago. */
function age(path: string | undefined, hours: number): void {
  if (path === undefined) throw new Error("nothing to age");
  const time = (Date.now() - hours * HOUR) / 1000;
  utimesSync(path, time, time);
}

async function blob(store: LocalStore, hours: number, size = 10_000): Promise<Descriptor> {
  const descriptor = await pushBytes(store.content, randomBlob(size).bytes);
  age(store.blobPath(descriptor.digest), hours);
  return descriptor;
}

function extractedLayer(store: LocalStore, hours: number): Digest {
  const digest = parseDigest(`sha256:${randomBlob(32).descriptor.digest.slice(7)}`);
  const path = store.layerPath(digest);
  mkdirSync(join(path, "etc"), { recursive: true });
  writeFileSync(join(path, "etc", "file"), "x".repeat(10_000));
  age(path, hours);
  return digest;
}

function blobs(store: LocalStore): readonly string[] {
  return readdirSync(join(store.path, "blobs", "sha256"));
}

async function recordOf(store: LocalStore, name: string, hours: number): Promise<CacheRecord> {
  const record = await pushRandomRecord(store, name);
  await store.index.put(record);
  for (const descriptor of [record.layer?.descriptor, record.layer?.index])
    age(store.blobPath(descriptor?.digest ?? "sha256:"), hours);
  return record;
}

describe("LocalStore.evict()", () => {
  test("takes the oldest first, until the store is small enough", async () => {
    await using store = await openLocalStore(newPath());
    const [oldest, newest, middle] = [await blob(store, 50), await blob(store, 10), await blob(store, 30)];
    const layer = extractedLayer(store, 40);
    const before = await store.evict({ ...ALL, maxUsedSpace: Number.MAX_SAFE_INTEGER });
    expect(before).toMatchObject({ items: 0, bytes: 0 });
    const after = await store.evict({ ...ALL, maxUsedSpace: before.remaining - 13_000 });
    expect(after.items).toBe(2);
    expect(after.remaining).toBe(before.remaining - after.bytes);
    expect(blobs(store).toSorted()).toEqual([newest, middle].map(({ digest }) => hexOf(digest)).toSorted());
    expect(existsSync(store.layerPath(layer))).toBe(false);
    expect(store.blobPath(oldest.digest)).toBeUndefined();
    expect(readdirSync(join(store.path, "tmp"))).toEqual([]);
  });

  test("takes only what was not used since a time, cache mounts and damaged blobs as well", async () => {
    await using store = await openLocalStore(newPath());
    const [old, young] = [await blob(store, 50), await blob(store, 10)];
    for (const [name, hours] of [
      ["old", 50],
      ["young", 10],
    ] as const) {
      mkdirSync(join(store.path, "cache-mounts", name, "0"), { recursive: true });
      age(join(store.path, "cache-mounts", name), hours);
    }
    mkdirSync(join(store.path, "damaged"));
    writeFileSync(join(store.path, "damaged", hexOf(old.digest)), "damaged");
    await store.evict({ ...ALL, unusedSince: Date.now() - 24 * HOUR });
    expect(blobs(store)).toEqual([hexOf(young.digest)]);
    expect(readdirSync(join(store.path, "cache-mounts"))).toEqual(["young"]);
    expect(readdirSync(join(store.path, "damaged"))).toEqual([]);
  });

  test("keeps images with a name whole, unless they are to go as well; those without one go from the list", async () => {
    await using store = await openLocalStore(newPath());
    const [named, unnamed] = [await randomImage(store.content), await randomImage(store.content)];
    await store.content.tag(named, "docker.io/library/app:1");
    await store.content.add(unnamed);
    for (const name of blobs(store)) age(join(store.path, "blobs", "sha256", name), 99);
    await store.evict(ALL);
    expect((await store.content.list()).map(({ digest }) => digest)).toEqual([named.digest]);
    await validateImage(store.content, named);
    await store.evict({ ...ALL, images: "evict" });
    expect(await store.content.list()).toEqual([]);
    expect(blobs(store)).toEqual([]);
  });

  test("leaves what a running process has used, or wrote, since it started", async () => {
    const path = newPath();
    await using other = await openLocalStore(path);
    await using store = await openLocalStore(path);
    const [used, asked, unused, layer] = [
      await blob(store, 50),
      await blob(store, 50),
      await blob(store, 50),
      extractedLayer(store, 50),
    ];
    other.use([used.digest, layer]);
    await other.content.exists(asked);
    const written = await pushBytes(other.content, randomBlob(100).bytes);
    await store.evict(ALL);
    for (const { digest } of [used, asked, written]) expect(store.blobPath(digest)).toBeDefined();
    expect(existsSync(store.layerPath(layer))).toBe(true);
    expect(store.blobPath(unused.digest)).toBeUndefined();
    await other[Symbol.asyncDispose]();
    await store.evict(ALL);
    expect(blobs(store)).toEqual([]);
    expect(existsSync(store.layerPath(layer))).toBe(false);
  });

  test("leaves extracted layers that are pinned", async () => {
    await using store = await openLocalStore(newPath());
    const [pinned, other] = [extractedLayer(store, 50), extractedLayer(store, 50)];
    await store.evict({ ...ALL, pinned: new Set([pinned]) });
    expect([existsSync(store.layerPath(pinned)), existsSync(store.layerPath(other))]).toEqual([true, false]);
  });

  test("takes records with their blobs, and no others", async () => {
    const path = newPath();
    const [gone, kept] = await (async () => {
      await using store = await openLocalStore(path);
      const records = [await recordOf(store, "gone", 50), await recordOf(store, "kept", 10)] as const;
      await store.evict({ ...ALL, unusedSince: Date.now() - 24 * HOUR });
      return records;
    })();
    const { Level } = await import("level");
    const level = new Level(join(path, "index"));
    const keys = await level.keys({ gte: "layer/1/", lt: "record/1/~" }).all();
    await level.close();
    const contentDigest = kept.layer?.contentDigest ?? "sha256:";
    expect(keys.filter((key) => !key.startsWith("memo"))).toEqual([
      `layer/1/${hexOf(contentDigest)}`,
      `record/1/${hexOf(kept.key)}`,
    ]);
    await using store = await openLocalStore(path);
    expect(await store.index.getMany([gone.key, kept.key])).toEqual([undefined, kept]);
  });

  test("never takes what is used while it goes on: a record that is found can be read to its end", async () => {
    const path = newPath();
    await using builder = await openLocalStore(path);
    await using evictor = await openLocalStore(path);
    const records = await Promise.all(
      Array.from({ length: 40 }, (_, number) => recordOf(evictor, String(number), 50 + number)),
    );
    const evicting = evictor.evict(ALL);
    let found = 0;
    for (const { key } of records) {
      const [record] = await builder.index.getMany([key]);
      if (record?.layer === undefined) continue;
      found += 1;
      expect((await bytesOf(builder.content.fetch(record.layer.descriptor))).length).toBe(500);
      expect((await bytesOf(builder.content.fetch(record.layer.index))).length).toBe(50);
    }
    const { items } = await evicting;
    expect(items + 2 * found).toBeGreaterThanOrEqual(80);
  });

  test("never breaks an image with a name, whatever is shared, old and asked for", async () => {
    const image = fc.record({ named: fc.boolean(), hours: fc.integer({ min: 0, max: 60 }) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(image, { maxLength: 5 }),
        fc.integer({ min: 0, max: 20_000 }),
        async (images, space) => {
          await using store = await openLocalStore(newPath());
          const named: Descriptor[] = [];
          for (const [position, each] of images.entries()) {
            const before = new Set(blobs(store));
            const descriptor = await randomImage(store.content);
            if (each.named) named.push(descriptor);
            await (each.named ? store.content.tag(descriptor, `i:${position}`) : store.content.add(descriptor));
            for (const name of blobs(store))
              if (!before.has(name)) age(join(store.path, "blobs", "sha256", name), each.hours);
          }
          await store.evict({ ...ALL, maxUsedSpace: space });
          for (const descriptor of named) await validateImage(store.content, descriptor);
          for (const { annotations: _, ...listed } of await store.content.list())
            await validateImage(store.content, listed);
          const names = (await store.content.list()).filter(({ annotations }) => annotations?.[REF_NAME] !== undefined);
          expect(names).toHaveLength(named.length);
        },
      ),
      { numRuns: 12 },
    );
  });
});
