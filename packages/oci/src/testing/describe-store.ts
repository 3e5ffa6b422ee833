import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ContentStore, IngestStore, Target, TransferOptions } from "../content.ts";
import { copyImage } from "../copy-image.ts";
import type { Descriptor } from "../descriptor.ts";
import { createMemoryStore } from "../memory-store.ts";
import { readChunks } from "../verify-content.ts";
import { bytesOf, inChunks, inOneBuffer, pushBytes, randomBlob } from "./blobs.ts";
import { randomImage, randomIndex } from "./random-image.ts";
import { validateImage } from "./validate-image.ts";

/** A store under test and how it is put away. */
export interface Opened<T> {
  readonly store: T;
  close(): Promise<void>;
}

/** Tests of the contract `ContentStore`, run against one store that `open` gives. */
export function describeContentStore(name: string, open: () => Promise<Opened<ContentStore>>): void {
  describe(`${name} as a ContentStore`, () => {
    const opened = openForAll(open);
    describePush(opened);
    describeReader({ name: "fetch()", read: (from, ...rest) => from.fetch(...rest) }, opened);
    describeReader({ name: "readChunks()", read: readChunks }, opened);
  });
}

function openForAll<T>(open: () => Promise<Opened<T>>): () => T {
  let opened: Opened<T> | undefined;
  beforeAll(async () => {
    opened = await open();
  });
  afterAll(async () => {
    await opened?.close();
  });
  return () => {
    if (opened === undefined) throw new Error("the store is not open");
    return opened.store;
  };
}

function describePush(store: () => ContentStore): void {
  test.each([0, 1, 65_537, 3 * 1024 * 1024])("push() keeps %i bytes that fetch() gives back", async (size) => {
    const { bytes, descriptor } = randomBlob(size);
    expect(await store().exists(descriptor)).toBe(false);
    await store().push(descriptor, inChunks(bytes, 10_007));
    expect(await store().exists(descriptor)).toBe(true);
    expect((await bytesOf(store().fetch(descriptor))).equals(bytes)).toBe(true);
  });

  test("push() is done with a chunk when it asks for the next", async () => {
    const { bytes, descriptor } = randomBlob(1_000_000);
    await store().push(descriptor, inOneBuffer(bytes, 65_536));
    expect((await bytesOf(readChunks(store(), descriptor))).equals(bytes)).toBe(true);
  });

  test("push() succeeds where the content is there already", async () => {
    const { bytes, descriptor } = randomBlob(100);
    await store().push(descriptor, inChunks(bytes));
    await store().push(descriptor, inChunks(bytes));
    expect(await bytesOf(store().fetch(descriptor))).toEqual(bytes);
  });

  test("push() of the same content at the same time succeeds for all", async () => {
    const { bytes, descriptor } = randomBlob(200_000);
    await Promise.all(Array.from({ length: 4 }, () => store().push(descriptor, inChunks(bytes, 1000))));
    expect((await bytesOf(store().fetch(descriptor))).equals(bytes)).toBe(true);
  });

  test.each([
    ["other bytes", "DIGEST_MISMATCH", (bytes: Buffer) => Buffer.from(bytes.map((byte) => byte ^ 1))],
    ["fewer bytes", "SIZE_INVALID", (bytes: Buffer) => bytes.subarray(1)],
    ["more bytes", "SIZE_INVALID", (bytes: Buffer) => Buffer.concat([bytes, bytes])],
  ])("push() refuses %s with %s and leaves nothing behind", async (_, code, alter) => {
    const { bytes, descriptor } = randomBlob(70_000);
    await expect(store().push(descriptor, inChunks(alter(bytes), 4096))).rejects.toMatchObject({ code });
    expect(await store().exists(descriptor)).toBe(false);
  });

  test("push() passes on the error of its content and leaves nothing behind", async () => {
    const { bytes, descriptor } = randomBlob(70_000);
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 50_000);
      throw new Error("the source broke");
    }
    await expect(store().push(descriptor, broken())).rejects.toThrow("the source broke");
    expect(await store().exists(descriptor)).toBe(false);
  });

  test("push() ends with the reason of its signal and leaves nothing behind", async () => {
    const { bytes, descriptor } = randomBlob(70_000);
    const stop = new AbortController();
    async function* aborted(): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 50_000);
      stop.abort(new Error("changed my mind"));
      yield bytes.subarray(50_000);
    }
    await expect(store().push(descriptor, aborted(), { signal: stop.signal })).rejects.toThrow("changed my mind");
    expect(await store().exists(descriptor)).toBe(false);
  });
}

/** A way to get content. */
interface Reader {
  readonly name: string;
  readonly read: (store: ContentStore, descriptor: Descriptor, options?: TransferOptions) => AsyncIterable<unknown>;
}

function describeReader({ name, read }: Reader, store: () => ContentStore): void {
  test(`${name} ends with BLOB_UNKNOWN where there is no such content`, async () => {
    const { descriptor } = randomBlob(10);
    await expect(bytesOf(read(store(), descriptor))).rejects.toMatchObject({ code: "BLOB_UNKNOWN" });
  });

  test.each([1, -1])(`${name} ends with SIZE_INVALID where the descriptor is off by %i`, async (difference) => {
    const descriptor = await pushBytes(store(), randomBlob(5000).bytes);
    const wrong: Descriptor = { ...descriptor, size: descriptor.size + difference };
    await expect(bytesOf(read(store(), wrong))).rejects.toMatchObject({ code: "SIZE_INVALID" });
  });

  test(`${name} ends with the reason of its signal`, async () => {
    const descriptor = await pushBytes(store(), randomBlob(4 * 1024 * 1024).bytes);
    const stop = new AbortController();
    const reading = (async (): Promise<void> => {
      for await (const _ of read(store(), descriptor, { signal: stop.signal })) stop.abort(new Error("enough"));
    })();
    await expect(reading).rejects.toThrow("enough");
    const early = read(store(), descriptor, { signal: AbortSignal.abort(new Error("too late")) });
    await expect(bytesOf(early)).rejects.toThrow("too late");
  });

  test(`${name} can be left early, and begun again`, async () => {
    const { bytes, descriptor } = randomBlob(4 * 1024 * 1024);
    await store().push(descriptor, inChunks(bytes));
    for await (const _ of read(store(), descriptor)) break;
    expect((await bytesOf(read(store(), descriptor))).equals(bytes)).toBe(true);
  });
}

/** Tests of what an `IngestStore` adds to a `ContentStore`. */
export function describeIngestStore(name: string, open: () => Promise<Opened<IngestStore>>): void {
  describe(`${name} as an IngestStore`, () => {
    const store = openForAll(open);

    test("commit() gives the descriptor of what was written, and makes it visible", async () => {
      const { bytes, descriptor } = randomBlob(100_000);
      const writer = await store().openWriter();
      const buffer = Buffer.alloc(1000);
      for (let start = 0; start < bytes.length; start += 1000) {
        bytes.copy(buffer, 0, start);
        await writer.write(buffer);
      }
      expect(await store().exists(descriptor)).toBe(false);
      expect(await writer.commit()).toEqual({ digest: descriptor.digest, size: descriptor.size });
      await writer.abort();
      expect((await bytesOf(store().fetch(descriptor))).equals(bytes)).toBe(true);
    });

    test("abort() drops what was written", async () => {
      const { bytes, descriptor } = randomBlob(1000);
      const writer = await store().openWriter();
      await writer.write(bytes);
      await writer.abort();
      expect(await store().exists(descriptor)).toBe(false);
    });
  });
}

/** Tests of what a `Target` adds to a `ContentStore`. */
export function describeTarget(name: string, open: () => Promise<Opened<Target>>): void {
  describe(`${name} as a Target`, () => {
    const store = openForAll(open);
    describeTags(store);
    describeCopy(store);
  });
}

function describeTags(store: () => Target): void {
  test("resolve() gives undefined for a tag that names nothing", async () => {
    expect(await store().resolve("nothing")).toBeUndefined();
  });

  test("tag() lets a tag name a manifest, and then another", async () => {
    const { platform: _, ...first } = await randomImage(store());
    const { platform: __, ...second } = await randomImage(store());
    await store().tag(first, "v1");
    await store().tag(first, "v2");
    await store().tag(second, "v1");
    expect(await store().resolve("v1")).toEqual(second);
    expect(await store().resolve("v2")).toEqual(first);
  });

  test("tag() refuses what is not there", async () => {
    const { platform: _, ...absent } = await randomImage(createMemoryStore());
    await expect(store().tag(absent, "absent")).rejects.toThrow(absent.digest);
    expect(await store().resolve("absent")).toBeUndefined();
  });

  test("tag() at the same time loses none", async () => {
    const image = await randomImage(store());
    const tags = Array.from({ length: 8 }, (_, number) => `at-once-${number}`);
    await Promise.all(tags.map((tag) => store().tag(image, tag)));
    const found = await Promise.all(tags.map((tag) => store().resolve(tag)));
    expect(found.map((each) => each?.digest)).toEqual(tags.map(() => image.digest));
  });
}

function describeCopy(store: () => Target): void {
  test.each(["oci", "docker"] as const)("copyImage() brings an %s image whole", async (format) => {
    const source = createMemoryStore();
    const image = await randomImage(source, { format });
    await copyImage(source, store(), { descriptor: image, tag: format });
    const found = await store().resolve(format);
    expect(found).toMatchObject({ digest: image.digest, mediaType: image.mediaType });
    await validateImage(store(), found ?? image);
  });

  test("copyImage() brings an index whole, and nothing a second time", async () => {
    const source = createMemoryStore();
    const amd64 = await randomImage(source, { compression: "zstd" });
    const arm64 = await randomImage(source, { platform: { os: "linux", architecture: "arm64" }, compression: "none" });
    const index = await randomIndex(source, [amd64, arm64]);
    await copyImage(source, store(), { descriptor: index, tag: "index" });
    expect((await store().resolve("index"))?.digest).toBe(index.digest);
    expect(await validateImage(store(), index)).toHaveLength(2);
    const moved: string[] = [];
    await copyImage(source, store(), { descriptor: index, onProgress: ({ digest }) => moved.push(digest) });
    expect(moved).toEqual([]);
  });
}
