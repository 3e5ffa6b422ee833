import { describe, expect, test } from "vitest";
import { digestOf } from "@varve/oci";
import { bytesOf, pushBytes, randomBlob } from "@varve/oci/testing";
import type { Cache } from "./ports.ts";
import type { CacheRecord } from "./record.ts";

/** A record of a new layer whose blobs are in the cache's content. */
export async function pushRandomRecord(cache: Cache, name: string): Promise<CacheRecord> {
  const layer = await pushBytes(cache.content, randomBlob(500).bytes);
  const index = await pushBytes(cache.content, randomBlob(50).bytes, "application/vnd.varve.layer-index.v1");
  return {
    key: digestOf(Buffer.from(`key ${name}`)),
    layer: {
      descriptor: layer,
      diffId: layer.digest,
      contentDigest: digestOf(Buffer.from(`content ${name}`)),
      index,
    },
    ingredients: { "definition.kind": "run" },
    createdAt: "2026-01-01T00:00:00.000Z",
    duration: 5,
    producer: "test",
  };
}

/** What every cache must do. `open` gives an empty one. */
export function describeCache(name: string, open: () => Promise<Cache>): void {
  describe(`${name}, as a cache`, () => {
    test("gives records in the order of their keys, and undefined for those it does not have", async () => {
      const cache = await open();
      const [a, b] = [await pushRandomRecord(cache, "a"), await pushRandomRecord(cache, "b")];
      expect(await cache.index.put(a)).toEqual({ outcome: "stored" });
      expect(await cache.index.put(b)).toEqual({ outcome: "stored" });
      const absent = digestOf(Buffer.from("absent"));
      expect(await cache.index.getMany([b.key, absent, a.key])).toEqual([b, undefined, a]);
      if (a.layer === undefined) throw new Error("no layer");
      expect(await cache.index.findLayer(a.layer.contentDigest)).toEqual(a.layer);
      expect(await cache.index.findLayer(absent)).toBeUndefined();
      expect((await bytesOf(cache.content.fetch(a.layer.descriptor))).length).toBe(500);
    });

    test("keeps the first record of a key, unless it is to be replaced", async () => {
      const cache = await open();
      const first = await pushRandomRecord(cache, "a");
      const second = { ...(await pushRandomRecord(cache, "b")), key: first.key };
      await cache.index.put(first);
      expect(await cache.index.put({ ...first, duration: 9 })).toEqual({ outcome: "same" });
      expect(await cache.index.put(second)).toEqual({ outcome: "conflict", existing: first });
      expect(await cache.index.getMany([first.key])).toEqual([first]);
      expect(await cache.index.put(second, { replace: true })).toEqual({ outcome: "stored" });
      expect(await cache.index.getMany([first.key])).toEqual([second]);
    });

    test("refuses a record whose blobs are not there", async () => {
      const cache = await open();
      const record = await pushRandomRecord(cache, "a");
      if (record.layer === undefined) throw new Error("no layer");
      const dangling = { ...record, layer: { ...record.layer, index: randomBlob(9).descriptor } };
      await expect(cache.index.put(dangling)).rejects.toMatchObject({ code: "RECORD_INVALID" });
      expect(await cache.index.getMany([record.key])).toEqual([undefined]);
    });
  });
}
