import { expect, test } from "vitest";
import {
  digestOf,
  encodeImageConfig,
  encodeManifest,
  MEDIA_TYPES,
  parseImageConfig,
  parseIndex,
  parseManifest,
} from "@varve/oci";

const DIGEST = digestOf(Buffer.from("x"));
const LAYER = { mediaType: MEDIA_TYPES.layerGzip, digest: DIGEST, size: 1 };
const CONFIG = { mediaType: MEDIA_TYPES.config, digest: DIGEST, size: 2 };
const MANIFEST = { schemaVersion: 2, mediaType: MEDIA_TYPES.manifest, config: CONFIG, layers: [LAYER] };
const INDEX = { schemaVersion: 2, manifests: [{ ...LAYER, mediaType: MEDIA_TYPES.manifest }] };
const IMAGE_CONFIG = { os: "linux", architecture: "amd64", rootfs: { type: "layers", diff_ids: [DIGEST] } };

const bytes = (value: unknown): Buffer => Buffer.from(typeof value === "string" ? value : JSON.stringify(value));

test.each([
  ["not JSON", "{", "it is not JSON"],
  ["an array", [], "it is no JSON object"],
  ["schema 1", { ...MANIFEST, schemaVersion: 1 }, '"schemaVersion" is damaged; wanted 2'],
  ["no config", { ...MANIFEST, config: undefined }, '"config" is damaged; wanted a descriptor'],
  ["layers that are no array", { ...MANIFEST, layers: {} }, '"layers" is damaged'],
  ["a layer without media type", { ...MANIFEST, layers: [{ ...LAYER, mediaType: 1 }] }, '"layers[0].mediaType"'],
  ["a layer's digest", { ...MANIFEST, layers: [LAYER, { ...LAYER, digest: "sha256:1" }] }, '"layers[1].digest"'],
  ["a negative size", { ...MANIFEST, config: { ...CONFIG, size: -1 } }, '"config.size"'],
  ["a size that is no integer", { ...MANIFEST, config: { ...CONFIG, size: 1.5 } }, '"config.size"'],
  ["annotations", { ...MANIFEST, annotations: { a: 1 } }, '"annotations" is damaged; wanted an object of strings'],
  ["a layer's platform", { ...MANIFEST, layers: [{ ...LAYER, platform: {} }] }, '"layers[0].platform.os"'],
  ["a subject", { ...MANIFEST, subject: "x" }, '"subject" is damaged; wanted a descriptor'],
  ["an index at the same time", { ...MANIFEST, manifests: [] }, '"manifests" is damaged; wanted no such member'],
])("parseManifest() refuses %s", (_, value, message) => {
  expect(() => parseManifest(bytes(value))).toThrow(
    expect.objectContaining({ code: "MANIFEST_INVALID", message: expect.stringContaining(message) as string }),
  );
});

test.each([
  ["a manifest at the same time", { ...INDEX, layers: [] }, '"layers"'],
  [
    "a manifest's digest",
    { ...INDEX, manifests: [{ ...LAYER, digest: DIGEST.toUpperCase() }] },
    '"manifests[0].digest"',
  ],
  [
    "a platform's features",
    { ...INDEX, manifests: [{ ...LAYER, platform: { os: "a", architecture: "b", "os.features": "x" } }] },
    '"manifests[0].platform.os.features"',
  ],
])("parseIndex() refuses %s", (_, value, message) => {
  expect(() => parseIndex(bytes(value))).toThrow(
    expect.objectContaining({ code: "MANIFEST_INVALID", message: expect.stringContaining(message) as string }),
  );
});

test.each([
  ["no architecture", { ...IMAGE_CONFIG, architecture: undefined }, '"architecture"'],
  ["a diff ID", { ...IMAGE_CONFIG, rootfs: { diff_ids: ["x"] } }, '"rootfs.diff_ids[0]"'],
  ["diff IDs that are no array", { ...IMAGE_CONFIG, rootfs: { diff_ids: "x" } }, '"rootfs.diff_ids"'],
  ["another rootfs", { ...IMAGE_CONFIG, rootfs: { type: "base", diff_ids: [] } }, '"rootfs.type"'],
  ["an environment that is an object", { ...IMAGE_CONFIG, config: { Env: {} } }, '"config.Env"'],
  ["a command of numbers", { ...IMAGE_CONFIG, config: { Cmd: [1] } }, '"config.Cmd"'],
  ["history", { ...IMAGE_CONFIG, history: [1] }, '"history"'],
])("parseImageConfig() refuses %s", (_, value, message) => {
  expect(() => parseImageConfig(bytes(value))).toThrow(
    expect.objectContaining({ code: "MANIFEST_INVALID", message: expect.stringContaining(message) as string }),
  );
});

test("nulls, as Go writes them, are absent members", () => {
  const manifest = parseManifest(bytes({ ...MANIFEST, layers: null, annotations: null, subject: null }));
  expect(manifest).toEqual({ ...MANIFEST, layers: [] });
  expect(parseIndex(bytes({ schemaVersion: 2, manifests: null })).manifests).toEqual([]);
  const config = parseImageConfig(
    bytes({
      ...IMAGE_CONFIG,
      history: null,
      rootfs: { type: "layers", diff_ids: null },
      config: { Cmd: null, Env: ["A=b"] },
    }),
  );
  expect(config).toEqual({ ...IMAGE_CONFIG, rootfs: { type: "layers", diff_ids: [] }, config: { Env: ["A=b"] } });
});

test("members that the specification does not know are kept", () => {
  const manifest = parseManifest(
    bytes({ ...MANIFEST, layers: [{ ...LAYER, urls: ["https://example.com"] }], extra: 1 }),
  );
  expect(manifest).toMatchObject({ extra: 1, layers: [{ urls: ["https://example.com"] }] });
  expect(JSON.parse(Buffer.from(encodeManifest(manifest).bytes).toString())).toEqual(manifest);
  const config = parseImageConfig(bytes({ ...IMAGE_CONFIG, "moby.buildkit": "x" }));
  expect(JSON.parse(Buffer.from(encodeImageConfig(config).bytes).toString())).toEqual(config);
});
