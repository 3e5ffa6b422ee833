import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { extractLayer, type IndexEntry, type LayerIndex, openLayerFile } from "../src/index.ts";
import { chunked, collect, entry, file, pack, scratch } from "./scratch.ts";

const large = Buffer.alloc(5_000_000, "0123456789abcdef!");
const entries = [
  ...Array.from({ length: 500 }, (_, at) => file(`f${at}`, `${at} `.repeat(2000))),
  { ...file("large", ""), size: large.length, content: { bytes: large } },
  entry("twin", { type: "hardlink", linkname: "large" }),
  file("z-empty", ""),
];

function pick(index: LayerIndex, path: string): IndexEntry {
  const found = index.entries.find((of) => of.path === path);
  if (found === undefined) throw new Error(`No ${path}`);
  return found;
}

describe("openLayerFile()", () => {
  test.each(["gzip", "zstd", "none"] as const)("reads one file from its segments: %s", async (type) => {
    const { blob, index } = await pack(entries, { type });
    const path = join(scratch(), "blob");
    writeFileSync(path, blob);
    const read = async (name: string): Promise<string> =>
      (await collect(openLayerFile(pick(index, name), index, path))).toString();
    expect(await read("f7")).toBe("7 ".repeat(2000));
    expect(await read("f499")).toBe("499 ".repeat(2000));
    expect(await read("large")).toBe(large.toString());
    expect(await read("twin")).toBe(large.toString());
    expect(await read("z-empty")).toBe("");
  });

  test("reads nothing of other segments", async () => {
    const { blob, index } = await pack(entries, { type: "gzip" });
    const path = join(scratch(), "blob");
    writeFileSync(path, blob);
    truncateSync(path, (index.segments?.[0]?.offset ?? 0) + (index.segments?.[0]?.length ?? 0));
    expect((await collect(openLayerFile(pick(index, "f0"), index, path))).toString()).toBe("0 ".repeat(2000));
  });

  test("reads a blob from its start where the index has no segments", async () => {
    const { blob } = await pack(entries);
    const root = scratch();
    writeFileSync(join(root, "blob"), gzipSync(blob));
    const index = await extractLayer(chunked(blob), { directory: join(root, "out"), overlay: "none" });
    expect((await collect(openLayerFile(pick(index, "f9"), index, join(root, "blob")))).toString()).toBe(
      "9 ".repeat(2000),
    );
  });

  test("fails where the bytes are not those of the index", async () => {
    const { blob, index } = await pack(entries);
    const path = join(scratch(), "blob");
    blob[(pick(index, "f3").tarOffset ?? 0) + 5] = 0;
    writeFileSync(path, blob);
    await expect(collect(openLayerFile(pick(index, "f3"), index, path))).rejects.toMatchObject({
      code: "ARCHIVE_CORRUPT",
      path: "f3",
    });
  });

  test("refuses a path that the layer has not", async () => {
    const { index } = await pack(entries);
    await expect(collect(openLayerFile(entry("none"), index, "/nowhere"))).rejects.toMatchObject({
      code: "SOURCE_MISSING",
    });
  });
});
