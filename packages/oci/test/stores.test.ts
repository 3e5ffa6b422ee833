import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { copyImage, createLayout, createMemoryStore, openLayout, parsePlatform, resolveImage } from "../src/index.ts";
import {
  collect,
  describeContentStore,
  describeIngestStore,
  describeTarget,
  pushRandomImage,
  randomBlob,
  streamOf,
} from "../src/testing.ts";

const root = mkdtempSync(join(tmpdir(), "varve-oci-"));
let count = 0;
const newPath = (): string => join(root, String((count += 1)));
afterAll(() => rmSync(root, { recursive: true }));

describeContentStore("createMemoryStore()", async () => createMemoryStore());
describeIngestStore("createMemoryStore()", async () => createMemoryStore());
describeTarget("createMemoryStore()", async () => createMemoryStore());
describeContentStore("createLayout()", () => createLayout(newPath()));
describeIngestStore("createLayout()", () => createLayout(newPath()));
describeTarget("createLayout()", () => createLayout(newPath()));

describe("openLayout()", () => {
  test("refuses what is no layout, and an index that is damaged", async () => {
    await expect(openLayout(newPath())).rejects.toMatchObject({ code: "LAYOUT_INVALID" });
    const layout = await createLayout(newPath());
    writeFileSync(join(layout.path, "index.json"), "{");
    await expect(layout.list()).rejects.toMatchObject({ code: "LAYOUT_INVALID" });
  });

  test("tells a damaged blob, and leaves no partial files", async () => {
    const layout = await createLayout(newPath());
    const { bytes, descriptor } = randomBlob(1000);
    await layout.push(descriptor, streamOf(bytes));
    writeFileSync(layout.blobPath(descriptor.digest), readFileSync(layout.blobPath(descriptor.digest)).fill(1, 0, 5));
    await expect(collect(layout.fetch(descriptor))).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
    await expect(layout.push(randomBlob(9).descriptor, streamOf(bytes))).rejects.toThrow();
    expect(readdirSync(join(layout.path, "blobs/sha256"))).toEqual([descriptor.digest.slice(7)]);
  });

  test("keeps every name when many are given at once", async () => {
    const layout = await createLayout(newPath());
    const image = await pushRandomImage(layout, 1);
    await Promise.all(Array.from({ length: 20 }, (_, number) => layout.tag(image, `t${number}`)));
    expect(await layout.list()).toHaveLength(20);
    expect(await layout.untag("t3")).toBe(true);
    expect(await layout.untag("t3")).toBe(false);
  });
});

describe("copyImage()", () => {
  test("moves each blob once, blobs before manifests, and nothing that is there", async () => {
    const [source, target] = [createMemoryStore(), createMemoryStore()];
    const image = await pushRandomImage(source, 3);
    const pushed: string[] = [];
    const watched = {
      ...target,
      push: async (...args: Parameters<typeof target.push>) => {
        pushed.push(args[0].digest);
        await target.push(...args);
      },
    };
    await copyImage(source, watched, { descriptor: image, tag: "a" });
    expect(pushed).toHaveLength(5);
    expect(new Set(pushed).size).toBe(5);
    expect(pushed.at(-1)).toBe(image.digest);
    expect(await target.resolve("a")).toMatchObject({ digest: image.digest });
    await copyImage(source, watched, { descriptor: image, tag: "b" });
    expect(pushed).toHaveLength(5);
  });

  test("passes an error of the source on, and names nothing", async () => {
    const [source, target] = [createMemoryStore(), createMemoryStore()];
    const image = await pushRandomImage(source, 2);
    const broken = {
      ...source,
      fetch: (...args: Parameters<typeof source.fetch>) =>
        source.fetch({ ...args[0], digest: args[0].mediaType.includes("layer") ? image.digest : args[0].digest }),
    };
    await expect(copyImage(broken, target, { descriptor: image, tag: "a" })).rejects.toThrow();
    expect(await target.resolve("a")).toBeUndefined();
  });
});

test("resolveImage() gives manifest, config and layers, and refuses another platform in an index", async () => {
  const store = createMemoryStore();
  const image = await pushRandomImage(store, 2);
  const resolved = await resolveImage(store, image, { platform: parsePlatform("linux/amd64") });
  expect(resolved.layers).toHaveLength(2);
  const { encodeIndex } = await import("../src/index.ts");
  const index = encodeIndex({ schemaVersion: 2, manifests: [{ ...image, platform: parsePlatform("linux/arm64") }] });
  await store.push(index.descriptor, streamOf(index.bytes));
  await expect(resolveImage(store, index.descriptor, { platform: parsePlatform("linux/amd64") })).rejects.toMatchObject(
    { code: "PLATFORM_UNAVAILABLE", message: expect.stringContaining("linux/arm64") },
  );
});
