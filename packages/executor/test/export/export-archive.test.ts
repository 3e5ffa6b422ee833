import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createLayout, type Descriptor, openLayout } from "@varve/oci";
import { describe, expect, test } from "vitest";
import { dockerArchive, ociArchive, ociDirectory } from "../../src/export/export-archive.ts";
import { rewriteImages } from "../../src/export/rewrite-images.ts";
import { writeFileWhole } from "../../src/export/write-file.ts";
import { AS_BUILT, type Built, buildImages, collect } from "./built.ts";

const signal = new AbortController().signal;
const NAMES = ["docker.io/library/app:1", "registry.example.com/team/app:2"];

function small(platforms?: readonly string[]): Promise<Built> {
  return buildImages({
    dockerfile: "FROM scratch\nCOPY a.txt /d/a.txt\nLABEL who=me\n",
    files: { "a.txt": "a\n" },
    ...(platforms === undefined ? {} : { platforms }),
  });
}

function member(tar: string, name: string): unknown {
  return JSON.parse(execFileSync("tar", ["-xOf", tar, name], { encoding: "utf8" }));
}

function inspect(place: string): { readonly Labels: unknown; readonly Layers: readonly string[] } {
  return JSON.parse(execFileSync("skopeo", ["inspect", place], { encoding: "utf8" })) as never;
}

describe("ociArchive()", () => {
  test("is the same bytes every time, names each name, and is read by skopeo", async () => {
    const { result, path } = await small();
    const bytes = await collect(ociArchive(result, { names: NAMES, signal }));
    expect((await collect(ociArchive(result, { names: NAMES, signal }))).equals(bytes)).toBe(true);
    writeFileSync(path("x.tar"), bytes);
    expect(member(path("x.tar"), "index.json")).toMatchObject({
      manifests: NAMES.map((name) => ({
        digest: result.descriptor.digest,
        annotations: {
          "io.containerd.image.name": name,
          "org.opencontainers.image.ref.name": name.slice(name.lastIndexOf(":") + 1),
        },
      })),
    });
    expect(inspect(`oci-archive:${path("x.tar")}:2`).Labels).toEqual({ who: "me" });
  });

  test("holds an index of several platforms, with what they share once", async () => {
    const { result, path } = await small(["linux/amd64", "linux/arm64"]);
    await writeFileWhole(path("x.tar"), ociArchive(result, { names: [], signal }), signal);
    const names = execFileSync("tar", ["-tf", path("x.tar")], { encoding: "utf8" })
      .trim()
      .split("\n");
    expect(new Set(names).size).toBe(names.length);
    for (const arch of ["amd64", "arm64"]) {
      execFileSync("skopeo", ["--override-arch", arch, "inspect", `oci-archive:${path("x.tar")}`]);
    }
    // Two configs and manifests, one index, the one layer of both.
    expect(names.filter((name) => /^blobs\/sha256\/./.test(name))).toHaveLength(6);
  });
});

describe("ociDirectory()", () => {
  test("makes a layout that umoci reads, and adds to one that is there", async () => {
    const { result, path } = await small();
    await ociDirectory(result, path("layout"), { names: NAMES, signal });
    execFileSync("umoci", ["unpack", "--image", `${path("layout")}:1`, path("bundle")]);
    expect(readdirSync(path("bundle/rootfs/d"))).toEqual(["a.txt"]);
    await ociDirectory(result, path("layout"), { names: ["docker.io/library/app:3"], signal });
    const names = (await (await openLayout(path("layout"))).list()).map(
      ({ annotations }) => annotations?.["org.opencontainers.image.ref.name"],
    );
    expect(names.sort()).toEqual(["1", "2", "3"]);
  });

  test("leaves nothing of a new layout that fails", async () => {
    const { result, path } = await small();
    const broken = {
      ...result,
      content: {
        exists: async () => true,
        fetch: (descriptor: Descriptor) => {
          if (descriptor.mediaType.includes("layer")) throw Object.assign(new Error("gone"), { code: "BLOB_UNKNOWN" });
          return result.content.fetch(descriptor);
        },
      },
    };
    await expect(ociDirectory(broken, path("out/layout"), { names: [], signal })).rejects.toThrow("gone");
    expect(readdirSync(path("out"))).toEqual([]);
    await createLayout(path("there"));
    await expect(ociDirectory(broken, path("there"), { names: [], signal })).rejects.toThrow("gone");
    expect(await (await openLayout(path("there"))).list()).toEqual([]);
  });
});

describe("dockerArchive()", () => {
  test.each(["docker", "oci"] as const)("is read by skopeo, with media types of %s", async (mediaTypes) => {
    const { result, options, path } = await small();
    const image = await rewriteImages(result, { ...AS_BUILT, mediaTypes }, options);
    await writeFileWhole(path("x.tar"), dockerArchive(image, { names: NAMES, signal }), signal);
    expect(member(path("x.tar"), "manifest.json")).toMatchObject([
      { RepoTags: ["app:1", "registry.example.com/team/app:2"] },
    ]);
    expect(inspect(`docker-archive:${path("x.tar")}:app:1`).Labels).toEqual({ who: "me" });
    if (mediaTypes === "oci") expect(inspect(`oci-archive:${path("x.tar")}:1`).Layers).toHaveLength(1);
  });

  test("refuses several platforms", async () => {
    const { result } = await small(["linux/amd64", "linux/arm64"]);
    await expect(collect(dockerArchive(result, { names: [], signal }))).rejects.toMatchObject({
      code: "EXPORT_FAILED",
      hint: expect.stringContaining("type=oci") as string,
    });
  });
});

describe("writeFileWhole()", () => {
  test("leaves the old file, and nothing beside it, where the chunks fail", async () => {
    const { path } = await small();
    writeFileSync(path("x.tar"), "old");
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(1_000_000);
      throw new Error("no more");
    }
    await expect(writeFileWhole(path("x.tar"), failing(), signal)).rejects.toThrow("no more");
    expect(execFileSync("cat", [path("x.tar")], { encoding: "utf8" })).toBe("old");
    expect(readdirSync(join(path("x.tar"), "..")).filter((name) => name.includes("partial"))).toEqual([]);
  });

  test("says what is in the way", async () => {
    const { path } = await small();
    writeFileSync(path("file"), "");
    await expect(writeFileWhole(path("file/x.tar"), collectNothing(), signal)).rejects.toMatchObject({
      code: "EXPORT_FAILED",
    });
    expect(existsSync(path("file/x.tar"))).toBe(false);
  });
});

async function* collectNothing(): AsyncGenerator<Uint8Array> {
  yield Buffer.alloc(1);
}
