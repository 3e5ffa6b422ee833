import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { TarPart } from "@varve/layer";
import { createLayout, type Descriptor, digestOf, openLayout } from "@varve/oci";
import { describe, expect, test } from "vitest";
import { dockerArchive, ociArchive, ociDirectory } from "../../src/export/export-archive.ts";
import { rewriteImages } from "../../src/export/rewrite-images.ts";
import { writeFileWhole } from "../../src/export/write-file.ts";
import { AS_BUILT, type Built, buildImages, collect } from "./built.ts";

const signal = new AbortController().signal;
const NAMES = ["docker.io/library/app:1", "registry.example.com/team/app:2"];

/** Another byte in the middle of the file. */
function alter(path: string): void {
  const file = openSync(path, "r+");
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, 9_000_000);
  byte[0]! ^= 1;
  writeSync(file, byte, 0, 1, 9_000_000);
  closeSync(file);
}

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
  describe("with a layer that is copied from its file", () => {
    const large = (): Promise<Built> =>
      buildImages({
        dockerfile: "FROM scratch\nCOPY noise /\n",
        files: { noise: randomBytes(20_000_000).toString("hex").slice(0, 24_000_000) },
      });
    const blobOf = ({ result, options }: Built): string =>
      options.store.blobPath(result.images[0]!.manifest.layers[0]!.digest)!;
    const write = (built: Built, name: string, given = signal): Promise<void> =>
      writeFileWhole(built.path(name), ociArchive(built.result, { names: NAMES, signal: given }), given);

    test("gives the bytes that a stream gives", async () => {
      const built = await large();
      await write(built, "x.tar");
      const streamed = await collect(ociArchive(built.result, { names: NAMES, signal }));
      expect(readFileSync(built.path("x.tar")).equals(streamed)).toBe(true);
    });

    test.each([
      ["altered", (file: string) => alter(file)],
      ["cut short", (file: string) => truncateSync(file, 9_000_000)],
    ])("leaves nothing where the file was %s, and sets it aside", async (_what, damage) => {
      const built = await large();
      const file = blobOf(built);
      damage(file);
      const damaged: unknown = { code: expect.stringMatching(/DIGEST_MISMATCH|SIZE_INVALID/) as string };
      await expect(write(built, "x.tar")).rejects.toMatchObject(damaged as object);
      expect(existsSync(built.path("x.tar"))).toBe(false);
      expect(existsSync(file)).toBe(false);
    });

    test("tells what its reader tells where the file is gone by then", async () => {
      const { path } = await small();
      async function* body(): AsyncGenerator<Uint8Array> {
        yield Buffer.alloc(0);
        throw new Error("the blob is gone");
      }
      async function* parts(): AsyncGenerator<TarPart> {
        yield { file: path("none"), digest: digestOf(Buffer.alloc(1)), size: 1, body: body() };
      }
      await expect(writeFileWhole(path("x.tar"), parts(), signal)).rejects.toThrow("the blob is gone");
      expect(existsSync(path("x.tar"))).toBe(false);
    });

    test("ends with the signal's reason", async () => {
      const built = await large();
      await expect(write(built, "x.tar", AbortSignal.abort(new Error("enough")))).rejects.toThrow("enough");
    });
  });

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
