import { execFileSync } from "node:child_process";
import { gunzipSync } from "node:zlib";
import { type Descriptor, digestOf, parseIndex, parseManifest, readContent } from "@varve/oci";
import { validateImage } from "@varve/oci/testing";
import { describe, expect, test } from "vitest";
import type { ImageOutput } from "../../src/export/image-output.ts";
import { rewriteImages } from "../../src/export/rewrite-images.ts";
import { AS_BUILT, buildImages, collect } from "./built.ts";

const APP = "FROM busybox\nCOPY a.txt /d/a.txt\nRUN rm /bin/zcat\n";
const files = { "a.txt": "a\n" };

function layerBytes({ content }: ImageOutput, descriptor: Descriptor | undefined): Promise<Buffer> {
  if (descriptor === undefined) throw new Error("no such layer");
  return collect(content.fetch(descriptor) as AsyncIterable<Uint8Array>);
}

describe("rewriteImages()", () => {
  test.each(["gzip", "none"] as const)("turns a base of zstd into %s", async (type) => {
    const { result, options } = await buildImages({ dockerfile: "FROM busybox\n" });
    const zstd = await rewriteImages(result, { ...AS_BUILT, forceCompression: { type: "zstd" } }, options);
    const again = { ...result, images: zstd.images };
    const rewritten = await rewriteImages(again, { ...AS_BUILT, forceCompression: { type } }, options);
    expect(rewritten.images[0]?.config).toEqual(result.images[0]?.config);
    await validateImage(rewritten.content, rewritten.descriptor);
  });

  test("gives the build itself where nothing is asked for", async () => {
    const { result, options } = await buildImages({ dockerfile: APP, files });
    expect(await rewriteImages(result, AS_BUILT, options)).toBe(result);
  });

  test("writes Docker's media types, and leaves layers and diff IDs", async () => {
    const { result, options } = await buildImages({ dockerfile: APP, files });
    const rewritten = await rewriteImages(result, { ...AS_BUILT, mediaTypes: "docker" }, options);
    expect(rewritten.descriptor.mediaType).toBe("application/vnd.docker.distribution.manifest.v2+json");
    const manifest = parseManifest(await readContent(rewritten.content, rewritten.descriptor));
    expect(manifest.config.mediaType).toBe("application/vnd.docker.container.image.v1+json");
    expect(new Set(manifest.layers.map(({ mediaType }) => mediaType))).toEqual(
      new Set(["application/vnd.docker.image.rootfs.diff.tar.gzip"]),
    );
    expect(manifest.layers.map(({ digest }) => digest)).toEqual(
      result.images[0]?.manifest.layers.map(({ digest }) => digest),
    );
  });

  test("compresses every layer again, the base's and whiteouts included, with the same diff IDs", async () => {
    const { result, options } = await buildImages({ dockerfile: APP, files });
    const rewritten = await rewriteImages(result, { ...AS_BUILT, forceCompression: { type: "zstd" } }, options);
    const [before, after] = [result.images[0], rewritten.images[0]];
    for (const layer of after?.manifest.layers ?? []) expect(layer.mediaType).toMatch(/\+zstd$/);
    const names = (bytes: Buffer): string =>
      execFileSync("tar", ["-tvf", "-"], { input: bytes, encoding: "utf8", maxBuffer: 1 << 26 });
    for (const position of [0, 1, 2]) {
      const old = gunzipSync(await layerBytes(result, before?.manifest.layers[position]));
      const fresh = execFileSync("zstd", ["-dc"], {
        input: await layerBytes(rewritten, after?.manifest.layers[position]),
        maxBuffer: 1 << 26,
      });
      expect(names(fresh)).toBe(names(old));
      expect(digestOf(fresh)).toBe(after?.config.rootfs.diff_ids[position]);
      expect(after?.config.rootfs.diff_ids[position]).toBe(before?.config.rootfs.diff_ids[position]);
    }
  });

  test("lets no file of a layer it made be newer than the time, and leaves the base", async () => {
    const { result, options } = await buildImages({ dockerfile: APP, files });
    const rewritten = await rewriteImages(result, { ...AS_BUILT, clampTimes: 1000 }, options);
    const [before, after] = [result.images[0], rewritten.images[0]];
    expect(after?.manifest.layers[0]).toEqual(before?.manifest.layers[0]);
    const listing = execFileSync("tar", ["--utc", "--full-time", "-tvf", "-"], {
      input: gunzipSync(await layerBytes(rewritten, after?.manifest.layers[1])),
      encoding: "utf8",
    });
    expect(listing.trim().split("\n")).toHaveLength(2);
    for (const line of listing.trim().split("\n")) expect(line).toContain("1970-01-01 00:16:40");
    await validateImage(rewritten.content, rewritten.descriptor);
  });

  test("does not write a layer twice", async () => {
    const { result, options } = await buildImages({ dockerfile: APP, files });
    const rewrite = { ...AS_BUILT, forceCompression: { type: "zstd" } } as const;
    const first = await rewriteImages(result, rewrite, options);
    let opened = 0;
    const content = new Proxy(options.store.content, {
      get(target, name) {
        if (name === "openWriter") opened += 1;
        return Reflect.get(target, name, target) as unknown;
      },
    });
    const again = await rewriteImages(result, rewrite, { ...options, store: { ...options.store, content } });
    expect(again.descriptor).toEqual(first.descriptor);
    expect(opened).toBe(0);
  });

  test("puts annotations where they belong", async () => {
    const { result, options } = await buildImages({ dockerfile: APP, files });
    const ofPlatform = { "linux/arm64": { manifest: { e: "5" }, manifestDescriptor: { f: "6" } } };
    const annotations = {
      manifest: { a: "1" },
      index: { b: "2" },
      manifestDescriptor: { c: "3" },
      indexDescriptor: { d: "4" },
      ofPlatform,
    };
    const rewritten = await rewriteImages(result, { ...AS_BUILT, annotations }, options);
    const index = parseIndex(await readContent(rewritten.content, rewritten.descriptor));
    expect(index.annotations).toEqual({ b: "2" });
    expect(rewritten.descriptor.annotations).toEqual({ d: "4" });
    const [descriptor] = index.manifests;
    expect(descriptor?.annotations).toEqual({ c: "3" });
    if (descriptor === undefined) throw new Error("no manifest");
    expect(parseManifest(await readContent(rewritten.content, descriptor)).annotations).toEqual({ a: "1" });
  });
});
