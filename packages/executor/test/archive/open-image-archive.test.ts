import { createWriteStream, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { chunksOf, type NewMember, type TarPart, writeTar } from "@varve/layer";
import { createMemoryStore, digestOf, hostPlatform, MEDIA_TYPES, readContent, resolveImage } from "@varve/oci";
import { randomImage } from "@varve/oci/testing";
import { openImageArchive, saveDockerArchive, saveOciArchive } from "../../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "varve-archive-"));
let count = 0;
afterAll(() => rmSync(root, { recursive: true, force: true }));
const { signal } = new AbortController();

function member(path: string, content: unknown): NewMember {
  const bytes = content instanceof Uint8Array ? content : Buffer.from(JSON.stringify(content));
  return { type: "file", path, size: bytes.length, body: [bytes] };
}

async function write(parts: AsyncIterable<TarPart>): Promise<string> {
  const path = join(root, `${(count += 1)}.tar`);
  await pipeline(chunksOf(parts), createWriteStream(path));
  return path;
}

async function open(path: string): Promise<Awaited<ReturnType<typeof openImageArchive>>> {
  const scratch = `${path}.scratch`;
  mkdirSync(scratch);
  return openImageArchive(path, { scratch, signal });
}

const LAYER = Buffer.alloc(1024);
const CONFIG = {
  architecture: "amd64",
  os: "linux",
  rootfs: { type: "layers", diff_ids: [digestOf(LAYER)] },
};
const ID = "a".repeat(64);
const PARENT = "b".repeat(64);

describe("openImageArchive()", () => {
  test("gives what was saved: images, names and content, plain or compressed", async () => {
    const content = createMemoryStore();
    const [one, two] = [await randomImage(content), await randomImage(content)];
    const images = [
      { descriptor: one, content, names: ["docker.io/library/app:1", "docker.io/library/app:2"] },
      { descriptor: two, content, names: ["docker.io/library/app:3"] },
    ];
    for (const chunks of [saveDockerArchive(images, signal), saveOciArchive(images, signal)]) {
      const plain = await write(chunks);
      const { readFileSync, writeFileSync } = await import("node:fs");
      const compressed = join(root, `${(count += 1)}.tar.gz`);
      writeFileSync(compressed, gzipSync(readFileSync(plain)));
      for (const path of [plain, compressed]) {
        const archive = await open(path);
        expect(archive.form).toBe("oci");
        expect(archive.images.map(({ names }) => names)).toEqual(images.map(({ names }) => names));
        expect(archive.images.map(({ descriptor }) => descriptor.digest)).toEqual([one.digest, two.digest]);
        for (const { descriptor } of archive.images) {
          const image = await resolveImage(archive.content, descriptor, { platform: hostPlatform() });
          for (const each of image.layers) await readContent(archive.content, each.descriptor);
        }
        await archive[Symbol.asyncDispose]();
        expect(readdirSync(`${path}.scratch`)).toEqual([]);
      }
    }
  });

  test("makes a manifest for an image of manifest.json, whatever its layers are compressed with", async () => {
    const compressed = gzipSync(LAYER);
    for (const [bytes, mediaType] of [
      [LAYER, MEDIA_TYPES.layer],
      [compressed, MEDIA_TYPES.layerGzip],
    ] as const) {
      const listed = [{ Config: "c.json", RepoTags: ["app:1"], Layers: ["l/layer.tar"] }];
      const members = [member("manifest.json", listed), member("c.json", CONFIG), member("l/layer.tar", bytes)];
      await using archive = await open(await write(writeTar(members)));
      expect(archive.form).toBe("docker");
      const [image] = archive.images;
      const found = await resolveImage(archive.content, image!.descriptor, { platform: hostPlatform() });
      expect(found.manifest.config.digest).toBe(digestOf(Buffer.from(JSON.stringify(CONFIG))));
      expect(found.manifest.layers).toEqual([{ mediaType, digest: digestOf(bytes), size: bytes.length }]);
    }
  });

  const manifest = (more: object): NewMember =>
    member("manifest.json", [{ Config: "c.json", Layers: ["l.tar"], ...more }]);
  const v1 = (id: string, json: object): readonly NewMember[] => [
    member(`${id}/json`, json),
    member(`${id}/layer.tar`, LAYER),
  ];
  const repositories = member("repositories", { app: { "1": ID } });

  test.each([
    ["nothing in it", [member("other", {})], "LAYOUT_INVALID", "no index.json, manifest.json or repositories"],
    [
      "an index of nothing",
      [member("index.json", { schemaVersion: 2, manifests: [] })],
      "LAYOUT_INVALID",
      "names no image",
    ],
    [
      "an index of what is not there",
      [
        member("index.json", {
          schemaVersion: 2,
          manifests: [{ mediaType: MEDIA_TYPES.manifest, digest: digestOf(LAYER), size: 1 }],
        }),
      ],
      "LAYOUT_INVALID",
      "it does not hold sha256:",
    ],
    ["an index that is none", [member("index.json", { schemaVersion: 3 })], "MANIFEST_INVALID", "schemaVersion"],
    ["a manifest.json that lists nothing", [member("manifest.json", [])], "LAYOUT_INVALID", "lists no image"],
    [
      "a manifest.json of another kind",
      [member("manifest.json", [{ a: 1 }])],
      "LAYOUT_INVALID",
      "does not list images",
    ],
    ["a manifest.json that is no JSON", [member("manifest.json", Buffer.from("{"))], "LAYOUT_INVALID", "is no JSON"],
    ["no config", [manifest({})], "LAYOUT_INVALID", 'no file "c.json"'],
    ["no layer", [manifest({}), member("c.json", CONFIG)], "LAYOUT_INVALID", 'no file "l.tar"'],
    [
      "fewer layers than the config has",
      [manifest({ Layers: [] }), member("c.json", CONFIG)],
      "LAYOUT_INVALID",
      "0 layers, and a config for 1",
    ],
    [
      "another layer than the config has",
      [manifest({}), member("c.json", CONFIG), member("l.tar", Buffer.alloc(2048))],
      "DIGEST_MISMATCH",
      "its config wants",
    ],
    [
      "repositories of no ids",
      [member("repositories", { app: { "1": "../../etc" } })],
      "LAYOUT_INVALID",
      "no id of a layer",
    ],
    ["repositories of nothing", [member("repositories", {})], "LAYOUT_INVALID", "name no image"],
    ["no json of a layer", [repositories], "LAYOUT_INVALID", `no file "${ID}/json"`],
    ["a parent that is no id", [repositories, ...v1(ID, { parent: "../x" })], "LAYOUT_INVALID", "is no id of a layer"],
    [
      "layers that are each other's parents",
      [repositories, ...v1(ID, { parent: PARENT }), ...v1(PARENT, { parent: ID })],
      "LAYOUT_INVALID",
      "have no end",
    ],
  ] as const)("refuses an archive with %s", async (_, members, code, message) => {
    const path = await write(writeTar(members));
    await expect(open(path)).rejects.toMatchObject({ code, message: expect.stringContaining(message) as string });
    expect(readdirSync(`${path}.scratch`)).toEqual([]);
  });

  test("puts the config of an image of specification 1 together as Docker does", async () => {
    const top = {
      id: ID,
      parent: PARENT,
      created: "2020-01-02T03:04:05.600Z",
      config: { Cmd: ["<a>"] },
      os: "linux",
      architecture: "arm64",
    };
    const base = {
      id: PARENT,
      created: "2020-01-01T00:00:00Z",
      container_config: { Cmd: ["/bin/sh", "-c", "x"] },
      author: "me",
    };
    await using archive = await open(await write(writeTar([repositories, ...v1(ID, top), ...v1(PARENT, base)])));
    expect([archive.form, archive.images[0]?.names]).toEqual(["docker-v1", ["app:1"]]);
    const image = await resolveImage(archive.content, archive.images[0]!.descriptor, { platform: hostPlatform() });
    expect(image.config).toMatchObject({ created: "2020-01-02T03:04:05.6Z", architecture: "arm64" });
    expect(image.config.history).toEqual([
      { created: "2020-01-01T00:00:00Z", author: "me", created_by: "/bin/sh -c x" },
      { created: "2020-01-02T03:04:05.6Z" },
    ]);
    const text = (await readContent(archive.content, image.manifest.config)).toString("utf8");
    expect(text).toContain('"Cmd":["\\u003ca\\u003e"]');
  });
});
