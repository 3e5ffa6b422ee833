import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import {
  type ContentSource,
  type CopyTarget,
  copyImage,
  createMemoryStore,
  type Descriptor,
  type Digest,
  encodeManifest,
  isIndexMediaType,
  isManifestMediaType,
  MEDIA_TYPES,
  parseIndex,
  parseManifest,
  parsePlatform,
  readContent,
  resolveImage,
} from "@varve/oci";
import { bytesOf, descriptorOf, pushBytes, randomImage, randomIndex, validateImage } from "@varve/oci/testing";

const ARM64 = parsePlatform("linux/arm64");
const AMD64 = parsePlatform("linux/amd64");

/** A target in memory that notes the order in which content arrives. */
function watch(overrides: Partial<CopyTarget> = {}): { readonly target: CopyTarget; readonly pushed: Descriptor[] } {
  const store = createMemoryStore();
  const pushed: Descriptor[] = [];
  const push: CopyTarget["push"] = async (descriptor, content, options) => {
    await store.push(descriptor, content, options);
    pushed.push(descriptor);
  };
  return { target: { ...store, push, ...overrides }, pushed };
}

async function layersOf(source: ContentSource, image: Descriptor): Promise<[Descriptor, ...Descriptor[]]> {
  const [first, ...others] = parseManifest(await readContent(source, image)).layers;
  if (first === undefined) throw new Error("the image has no layers");
  return [first, ...others];
}

test("copyImage() pushes blobs before the manifests that name them, and each once", async () => {
  const source = createMemoryStore();
  const image = await randomImage(source);
  const twin = encodeManifest({ ...parseManifest(await readContent(source, image)), annotations: { twin: "yes" } });
  await pushBytes(source, twin.bytes);
  const index = await randomIndex(source, [image, twin.descriptor, await randomImage(source, { platform: ARM64 })]);
  const { target, pushed } = watch();
  expect(await copyImage(source, target, { descriptor: index })).toEqual(index);
  const digests = pushed.map(({ digest }) => digest);
  expect(new Set(digests).size).toBe(digests.length);
  expect(digests).toHaveLength(1 + 3 + 2 * (2 + 1));
  expect(await validateImage(target, index)).toHaveLength(3);
  for (const [position, descriptor] of pushed.entries()) {
    const before = new Set<Digest>(digests.slice(0, position));
    for (const child of await childrenOf(target, descriptor)) expect(before).toContain(child.digest);
  }
});

async function childrenOf(source: CopyTarget, descriptor: Descriptor): Promise<readonly Descriptor[]> {
  if (isIndexMediaType(descriptor.mediaType)) return parseIndex(await readContent(source, descriptor)).manifests;
  if (!isManifestMediaType(descriptor.mediaType)) return [];
  const { config, layers } = parseManifest(await readContent(source, descriptor));
  return [config, ...layers];
}

test("copyImage() moves only what is not there", async () => {
  const source = createMemoryStore();
  const image = await randomImage(source, { layers: 3 });
  const { target, pushed } = watch();
  const [first] = await layersOf(source, image);
  await target.push(first, source.fetch(first) as AsyncIterable<Uint8Array>);
  pushed.length = 0;
  await copyImage(source, target, { descriptor: image });
  expect(pushed).toHaveLength(4);
  expect(pushed.map(({ digest }) => digest)).not.toContain(first.digest);
});

test("copyImage() leaves layers where they are that must not be distributed", async () => {
  const source = createMemoryStore();
  const manifest = parseManifest(await readContent(source, await randomImage(source)));
  const foreign = {
    ...descriptorOf(Buffer.from("far away")),
    mediaType: MEDIA_TYPES.layer.replace("layer.v1", "layer.nondistributable.v1"),
  };
  const { descriptor, bytes } = encodeManifest({ ...manifest, layers: [foreign, ...manifest.layers] });
  await pushBytes(source, bytes);
  const { target } = watch();
  await copyImage(source, target, { descriptor });
  expect(await target.exists(foreign)).toBe(false);
  expect(await target.exists(descriptor)).toBe(true);
});

test("copyImage() copies of an index the image for the one platform, or a smaller index for several", async () => {
  const source = createMemoryStore();
  const amd64 = await randomImage(source);
  const arm64 = await randomImage(source, { platform: ARM64 });
  const s390x = await randomImage(source, { platform: parsePlatform("linux/s390x") });
  const index = await randomIndex(source, [amd64, arm64, s390x]);

  const one = watch();
  expect(await copyImage(source, one.target, { descriptor: index, platforms: [ARM64] })).toEqual(arm64);
  expect(one.pushed).toHaveLength(4);

  const two = createMemoryStore();
  const smaller = await copyImage(source, two, { descriptor: index, platforms: [ARM64, AMD64], tag: "two" });
  expect((await two.resolve("two"))?.digest).toBe(smaller.digest);
  expect(parseIndex(await readContent(two, smaller)).manifests).toEqual([amd64, arm64]);
  expect((await resolveImage(two, smaller, { platform: AMD64 })).descriptor.digest).toBe(amd64.digest);

  const all = [AMD64, ARM64, parsePlatform("linux/s390x")];
  expect(await copyImage(source, createMemoryStore(), { descriptor: index, platforms: all })).toEqual(index);
  const none = copyImage(source, createMemoryStore(), {
    descriptor: index,
    platforms: [parsePlatform("linux/riscv64")],
  });
  await expect(none).rejects.toMatchObject({ code: "PLATFORM_UNAVAILABLE" });
});

test("copyImage() tells of bytes up to the size of each blob", async () => {
  const source = createMemoryStore();
  const image = await randomImage(source, { size: 100_000 });
  const told = new Map<Digest, number>();
  const sizes = new Map<Digest, number>();
  await copyImage(source, createMemoryStore(), {
    descriptor: image,
    onProgress(descriptor, current) {
      expect(current).toBeGreaterThan(told.get(descriptor.digest) ?? 0);
      told.set(descriptor.digest, current);
      sizes.set(descriptor.digest, descriptor.size);
    },
  });
  expect(told).toEqual(sizes);
  expect(told.size).toBe(4);
});

test.each([1, 3])("copyImage() keeps %i transfers going at once", async (concurrency) => {
  const source = createMemoryStore();
  const image = await randomImage(source, { layers: 8 });
  let running = 0;
  let most = 0;
  const { target } = watch();
  const slow: CopyTarget = {
    ...target,
    async push(descriptor, content, options) {
      running += 1;
      most = Math.max(most, running);
      await setImmediate();
      await target.push(descriptor, content, options);
      running -= 1;
    },
  };
  await copyImage(source, slow, { descriptor: image, concurrency });
  expect(most).toBe(concurrency);
});

test("copyImage() asks about no more than eight blobs at once", async () => {
  const source = createMemoryStore();
  const image = await randomImage(source, { layers: 20 });
  let running = 0;
  let most = 0;
  const { target } = watch({
    async exists() {
      running += 1;
      most = Math.max(most, running);
      await setImmediate();
      running -= 1;
      return false;
    },
  });
  await copyImage(source, target, { descriptor: image });
  expect(most).toBe(8);
});

test("copyImage() hands over a manifest and its tag at once where the target takes that", async () => {
  const source = createMemoryStore();
  const image = await randomImage(source);
  const order: string[] = [];
  const { target, pushed } = watch({
    tag: () => Promise.reject(new Error("not asked for")),
    async pushTagged(expected, bytes, { tag }) {
      expect(descriptorOf(bytes, image.mediaType)).toMatchObject({ digest: image.digest, size: image.size });
      expect(pushed).toHaveLength(3);
      order.push(`${tag} ${expected.digest}`);
    },
  });
  const told: Descriptor[] = [];
  await copyImage(source, target, { descriptor: image, tag: "new", onProgress: (each) => void told.push(each) });
  expect(order).toEqual([`new ${image.digest}`]);
  expect(new Set(told.map(({ digest }) => digest))).toEqual(new Set(pushed.map(({ digest }) => digest)));
  const [layer] = await layersOf(source, image);
  await expect(copyImage(source, target, { descriptor: layer, tag: "x" })).rejects.toThrow("not asked for");
});

test("copyImage() takes over from other repositories where the target can, and pushes else", async () => {
  const source = createMemoryStore();
  const image = await randomImage(source);
  const layers = await layersOf(source, image);
  const asked: string[] = [];
  const { target, pushed } = watch({
    async mount(descriptor, repository) {
      asked.push(`${descriptor.digest} ${repository}`);
      return descriptor.digest === layers[0].digest && repository === "second";
    },
  });
  const mountFrom = ({ mediaType }: Descriptor): readonly string[] =>
    mediaType === MEDIA_TYPES.layerGzip ? ["first", "second", "third"] : [];
  await copyImage(source, target, { descriptor: image, mountFrom, concurrency: 1 });
  const [first, second] = layers.map(({ digest }) => digest);
  expect(asked).toEqual([
    `${first} first`,
    `${first} second`,
    `${second} first`,
    `${second} second`,
    `${second} third`,
  ]);
  expect(pushed.map(({ digest }) => digest)).not.toContain(first);
  expect(pushed.map(({ digest }) => digest)).toContain(second);
});

class Passing extends Error {
  readonly retryable = true;
}

test("copyImage() begins a push again after an error that may pass, with the content from the start", async () => {
  const source = createMemoryStore();
  const image = await randomImage(source, { layers: 1 });
  const broken = new Set<Digest>();
  const { target } = watch();
  const flaky: CopyTarget = {
    ...target,
    async push(descriptor, content, options) {
      if (broken.has(descriptor.digest)) return target.push(descriptor, content, options);
      broken.add(descriptor.digest);
      for await (const _ of content) throw new Passing("reset");
    },
  };
  await copyImage(source, flaky, { descriptor: image });
  expect(await validateImage(flaky, image)).toHaveLength(1);
});

test("copyImage() ends the other transfers at the first error, and throws it", async () => {
  const source = createMemoryStore();
  const image = await randomImage(source, { layers: 3 });
  const layers = await layersOf(source, image);
  let ended = 0;
  const { target } = watch({
    async push(descriptor, _content, { signal } = {}) {
      if (descriptor.digest === layers[0].digest) throw new Error("disk full");
      await new Promise((resolve) => {
        signal?.addEventListener("abort", resolve);
      });
      ended += 1;
      signal?.throwIfAborted();
    },
  });
  await expect(copyImage(source, target, { descriptor: image })).rejects.toThrow("disk full");
  expect(ended).toBeGreaterThan(0);
});

test("copyImage() ends with the reason of its signal", async () => {
  const source = createMemoryStore();
  const image = await randomImage(source, { layers: 4 });
  const stop = new AbortController();
  const { target } = watch();
  const copying = copyImage(source, target, {
    descriptor: image,
    signal: stop.signal,
    concurrency: 1,
    onProgress: () => stop.abort(new Error("interrupted")),
  });
  await expect(copying).rejects.toThrow("interrupted");
  expect(await target.exists(image)).toBe(false);
});

test("copyImage() does not push again where the source fails", async () => {
  const source = createMemoryStore();
  const image = await randomImage(source, { layers: 1 });
  const [layer] = await layersOf(source, image);
  let fetches = 0;
  const failing = {
    ...source,
    fetch: (descriptor: Descriptor) => {
      if (descriptor.digest !== layer.digest) return source.fetch(descriptor);
      fetches += 1;
      return source.fetch({ ...descriptor, digest: image.digest });
    },
  };
  await expect(copyImage(failing, createMemoryStore(), { descriptor: image })).rejects.toMatchObject({
    code: "SIZE_INVALID",
  });
  expect(fetches).toBe(1);
});

test("copyImage() copies a single blob", async () => {
  const source = createMemoryStore();
  const descriptor = await pushBytes(source, Buffer.from("only"));
  const target = createMemoryStore();
  await copyImage(source, target, { descriptor });
  expect((await bytesOf(target.fetch(descriptor))).toString()).toBe("only");
});
