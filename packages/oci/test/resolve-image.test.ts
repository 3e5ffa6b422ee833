import { expect, test } from "vitest";
import {
  createMemoryStore,
  digestOf,
  encodeImageConfig,
  encodeManifest,
  MEDIA_TYPES,
  parseManifest,
  parsePlatform,
  readContent,
  resolveImage,
} from "@varve/oci";
import { descriptorOf, pushBytes, randomImage, randomIndex } from "@varve/oci/testing";

const AMD64 = parsePlatform("linux/amd64");
const ARM64 = parsePlatform("linux/arm64");

test("resolveImage() follows indexes to the platform's image, and joins layers with their diff IDs", async () => {
  const store = createMemoryStore();
  const [amd64, arm64] = [await randomImage(store), await randomImage(store, { platform: ARM64, layers: 3 })];
  const inner = await randomIndex(store, [amd64, arm64]);
  const outer = await randomIndex(store, [inner]);
  const image = await resolveImage(store, outer, { platform: ARM64 });
  expect(image.descriptor.digest).toBe(arm64.digest);
  expect(image.layers.map(({ descriptor }) => descriptor)).toEqual(image.manifest.layers);
  expect(image.layers.map(({ diffId }) => diffId)).toEqual(image.config.rootfs.diff_ids);
  expect(image.layers).toHaveLength(3);
});

test("resolveImage() names the platforms that are there, attestations left out", async () => {
  const store = createMemoryStore();
  const attestation = await randomImage(store, { platform: { os: "unknown", architecture: "unknown" } });
  const index = await randomIndex(store, [await randomImage(store), attestation]);
  await expect(resolveImage(store, index, { platform: ARM64 })).rejects.toMatchObject({
    code: "PLATFORM_UNAVAILABLE",
    message: expect.stringMatching(/for linux\/arm64: .* it has linux\/amd64$/) as string,
  });
});

test("resolveImage() refuses an index that leads only to itself", async () => {
  const store = createMemoryStore();
  let index = await randomIndex(store, [await randomImage(store)]);
  for (let depth = 0; depth < 10; depth += 1) index = await randomIndex(store, [index]);
  await expect(resolveImage(store, index, { platform: AMD64 })).rejects.toMatchObject({
    code: "MEDIA_TYPE_UNSUPPORTED",
  });
});

test("resolveImage() takes an image without layers whose manifest says null", async () => {
  const store = createMemoryStore();
  const config = encodeImageConfig({ ...AMD64, rootfs: { type: "layers", diff_ids: [] } });
  await pushBytes(store, config.bytes);
  const manifest = { schemaVersion: 2, mediaType: MEDIA_TYPES.manifest, config: config.descriptor, layers: null };
  const descriptor = await pushBytes(store, Buffer.from(JSON.stringify(manifest)), MEDIA_TYPES.manifest);
  expect((await resolveImage(store, descriptor, { platform: AMD64 })).layers).toEqual([]);
});

test("resolveImage() refuses a config that counts other layers than the manifest", async () => {
  const store = createMemoryStore();
  const image = await randomImage(store);
  const manifest = parseManifest(await readContent(store, image));
  const shorter = encodeManifest({ ...manifest, layers: manifest.layers.slice(1) });
  await pushBytes(store, shorter.bytes);
  await expect(resolveImage(store, shorter.descriptor, { platform: AMD64 })).rejects.toThrow(
    "its manifest has 1 layers; its config has 2",
  );
});

test.each([
  ["a blob", (image: string) => image],
  ["an artifact", (image: string) => image.replace(MEDIA_TYPES.config, "application/vnd.cncf.helm.config.v1+json")],
  ["a strange layer", (image: string) => image.replace(MEDIA_TYPES.layerGzip, "application/x-layer")],
])("resolveImage() refuses %s by its media type", async (what, change) => {
  const store = createMemoryStore();
  const text = (await readContent(store, await randomImage(store))).toString();
  const mediaType = what === "a blob" ? MEDIA_TYPES.layer : MEDIA_TYPES.manifest;
  const descriptor = await pushBytes(store, Buffer.from(change(text)), mediaType);
  await expect(resolveImage(store, descriptor, { platform: AMD64 })).rejects.toMatchObject({
    code: "MEDIA_TYPE_UNSUPPORTED",
  });
});

test("resolveImage() ends with BLOB_UNKNOWN where the manifest is absent", async () => {
  const absent = descriptorOf(Buffer.from("x"), MEDIA_TYPES.manifest);
  expect(absent.digest).toBe(digestOf(Buffer.from("x")));
  await expect(resolveImage(createMemoryStore(), absent, { platform: AMD64 })).rejects.toMatchObject({
    code: "BLOB_UNKNOWN",
  });
});
