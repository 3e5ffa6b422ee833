import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { ContentStore, IngestStore, Target } from "./content.ts";
import type { Descriptor } from "./descriptor.ts";
import { digestOf } from "./digest.ts";
import { encodeImageConfig, encodeManifest } from "./encode.ts";
import type { Layer } from "./image.ts";
import { MEDIA_TYPES } from "./media-types.ts";

/** A blob of `size` random bytes. */
export function randomBlob(
  size: number,
  mediaType: string = MEDIA_TYPES.layer,
): { readonly bytes: Buffer; readonly descriptor: Descriptor } {
  const bytes = randomBytes(size);
  return { bytes, descriptor: { mediaType, digest: digestOf(bytes), size } };
}

/** The bytes as a stream of one chunk. */
export async function* streamOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** All that a stream gives. */
export async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Puts an image with `layers` random layers into `store`; gives its manifest's descriptor. */
export async function pushRandomImage(store: ContentStore, layers: number): Promise<Descriptor> {
  const made: Layer[] = [];
  for (let count = 0; count < layers; count += 1) {
    const { bytes, descriptor } = randomBlob(1000 + count);
    await store.push(descriptor, streamOf(bytes));
    made.push({ descriptor, diffId: descriptor.digest });
  }
  const rootfs = { type: "layers", diff_ids: made.map(({ diffId }) => diffId) } as const;
  const config = encodeImageConfig({ architecture: "amd64", os: "linux", rootfs });
  const manifest = encodeManifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.manifest,
    config: config.descriptor,
    layers: made.map(({ descriptor }) => descriptor),
  });
  for (const { descriptor, bytes } of [config, manifest]) await store.push(descriptor, streamOf(bytes));
  return manifest.descriptor;
}

/** What every content store must do. `open` gives an empty one. */
export function describeContentStore(name: string, open: () => Promise<ContentStore>): void {
  describe(`${name}, as a content store`, () => {
    test("gives what was pushed, and knows what is there", async () => {
      const store = await open();
      const { bytes, descriptor } = randomBlob(300_000);
      expect(await store.exists(descriptor)).toBe(false);
      await store.push(descriptor, streamOf(bytes));
      await store.push(descriptor, streamOf(bytes));
      expect(await store.exists(descriptor)).toBe(true);
      expect((await collect(store.fetch(descriptor))).equals(bytes)).toBe(true);
    });

    test("refuses content that is not the one described, and keeps nothing of it", async () => {
      const store = await open();
      const { bytes, descriptor } = randomBlob(5000);
      const damaged = Buffer.from(bytes).fill(0, 10, 20);
      await expect(store.push(descriptor, streamOf(damaged))).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
      await expect(store.push(descriptor, streamOf(bytes.subarray(1)))).rejects.toMatchObject({ code: "SIZE_INVALID" });
      expect(await store.exists(descriptor)).toBe(false);
    });

    test("ends a fetch of what is not there with an error", async () => {
      const store = await open();
      await expect(collect(store.fetch(randomBlob(10).descriptor))).rejects.toMatchObject({
        code: expect.stringMatching(/_UNKNOWN$/),
      });
    });
  });
}

/** What every store that learns digests as it goes must do. */
export function describeIngestStore(name: string, open: () => Promise<IngestStore>): void {
  describe(`${name}, as an ingest store`, () => {
    test("tells the digest of what was written, and drops what was aborted", async () => {
      const store = await open();
      const { bytes, descriptor } = randomBlob(100_000);
      const writer = await store.openWriter();
      await writer.write(bytes.subarray(0, 60_000));
      await writer.write(bytes.subarray(60_000));
      expect(await writer.commit()).toEqual({ digest: descriptor.digest, size: descriptor.size });
      await writer.abort();
      expect(await store.exists(descriptor)).toBe(true);
      const dropped = randomBlob(10);
      const other = await store.openWriter();
      await other.write(dropped.bytes);
      await other.abort();
      expect(await store.exists(dropped.descriptor)).toBe(false);
    });
  });
}

/** What every store that names images must do. */
export function describeTarget(name: string, open: () => Promise<Target>): void {
  describe(`${name}, as a target`, () => {
    test("names images, and lets a name move", async () => {
      const store = await open();
      const [first, second] = [await pushRandomImage(store, 1), await pushRandomImage(store, 2)];
      expect(await store.resolve("latest")).toBeUndefined();
      await store.tag(first, "latest");
      await store.tag(first, "other");
      await store.tag(second, "latest");
      expect(await store.resolve("latest")).toMatchObject({ digest: second.digest, size: second.size });
      expect(await store.resolve("other")).toMatchObject({ digest: first.digest });
    });
  });
}
