import { createLayout, digestOf, type Layout } from "@varve/oci";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { randomImage } from "@varve/oci/testing";
import { createMemoryCache } from "../../src/index.ts";
import { openOciCache } from "../../src/oci/oci-cache.ts";
import { mergeRecords } from "../../src/oci/record-set.ts";
import type { CacheRecord, RemoteCache } from "../../src/index.ts";
import { pushRandomRecord } from "../../src/testing.ts";

const root = mkdtempSync(join(tmpdir(), "varve-oci-cache-"));
let count = 0;
const newLayout = (): Promise<Layout> => createLayout(join(root, String((count += 1))));
afterAll(() => rmSync(root, { recursive: true, force: true }));

function open(layout: Layout, warnings: string[] = []): RemoteCache {
  return openOciCache({
    name: "c",
    openTarget: async () => layout,
    place: "x",
    read: true,
    write: { mode: "max" },
    onWarning: (message) => warnings.push(message),
  });
}

describe("openOciCache()", () => {
  test("gives what another one wrote, and keeps what was there", async () => {
    const layout = await newLayout();
    const memory = createMemoryCache();
    const records: CacheRecord[] = [];
    for (const name of ["a", "b"]) {
      const cache = open(layout);
      const record = await pushRandomRecord(memory, name);
      records.push(record);
      await cache.put?.(record, memory.content);
      await cache.finish?.(new Set());
    }
    const absent = digestOf(Buffer.from("absent"));
    const keys = [...records.map(({ key }) => key), absent];
    expect(await open(layout).getMany(keys)).toEqual([...records, undefined]);
  });

  test("does not touch what is no record set, and says so", async () => {
    const layout = await newLayout();
    const image = await randomImage(layout);
    await layout.tag(image, "x");
    const warnings: string[] = [];
    const cache = open(layout, warnings);
    const memory = createMemoryCache();
    await cache.put?.(await pushRandomRecord(memory, "a"), memory.content);
    await cache.finish?.(new Set());
    expect(await layout.resolve("x")).toMatchObject({ digest: image.digest });
    expect(warnings).toEqual(["Cache c is not written: something else has its name"]);
  });

  test("drops records whose blobs are nowhere any more", async () => {
    const layout = await newLayout();
    const memory = createMemoryCache();
    const [kept, lost] = [await pushRandomRecord(memory, "kept"), await pushRandomRecord(memory, "lost")];
    const first = open(layout);
    await first.put?.(lost, memory.content);
    await first.finish?.(new Set());
    rmSync(layout.blobPath(lost.layer?.descriptor.digest ?? "sha256:"));
    const other = createMemoryCache();
    for (const blob of kept.layer === undefined ? [] : [kept.layer.descriptor, kept.layer.index])
      await other.content.push(blob, memory.content.fetch(blob) as AsyncIterable<Uint8Array>);
    const second = open(layout);
    await second.put?.(kept, other.content);
    await second.finish?.(new Set());
    expect(await open(layout).getMany([kept.key])).toEqual([kept]);
  });
});

test("mergeRecords() puts the used ones first, keeps the older of one key, and drops what is beyond 2,000", () => {
  const record = (key: number, producer: string): CacheRecord => ({
    key: digestOf(Buffer.from(String(key))),
    layer: undefined,
    ingredients: {},
    createdAt: "2026-01-01T00:00:00Z",
    duration: 1,
    producer,
  });
  const before = Array.from({ length: 2_000 }, (_, key) => record(key, "before"));
  const merged = mergeRecords([record(5_000, "new"), record(7, "new")], before);
  expect(merged).toHaveLength(2_000);
  expect(merged.slice(0, 2)).toEqual([record(5_000, "new"), record(7, "before")]);
  expect(merged.at(-1)).toEqual(record(1_998, "before"));
});
