import { expect, test } from "vitest";
import {
  digestOf,
  encodeImageConfig,
  encodeIndex,
  encodeManifest,
  type ImageConfig,
  type Manifest,
  MEDIA_TYPES,
  parseImageConfig,
  parseIndex,
  parseManifest,
} from "@varve/oci";

const DIGEST = digestOf(Buffer.from("x"));
const LAYER = { mediaType: MEDIA_TYPES.layerGzip, digest: DIGEST, size: 1, annotations: { b: "1", a: "2" } };
const MANIFEST: Manifest = {
  schemaVersion: 2,
  mediaType: MEDIA_TYPES.manifest,
  config: { mediaType: MEDIA_TYPES.config, digest: DIGEST, size: 2 },
  layers: [LAYER],
  annotations: { y: "1", x: "2" },
};
const CONFIG: ImageConfig = {
  os: "linux",
  architecture: "arm64",
  variant: "v9",
  created: "2026-01-01T00:00:00Z",
  config: { Env: ["B=1", "A=2"], Labels: { z: "1", a: "2" }, Cmd: ["sh"] },
  rootfs: { type: "layers", diff_ids: [DIGEST] },
  history: [{ created_by: "RUN x", empty_layer: true }],
};

/** The same value, put together the other way round. */
function reversed<T>(value: T): T {
  if (Array.isArray(value)) return value.map(reversed) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([name, each]) => [name, reversed(each)]),
  ) as T;
}

test("encodeManifest() gives the same bytes however the manifest was put together", () => {
  const { bytes, descriptor } = encodeManifest(MANIFEST);
  expect(encodeManifest(reversed(MANIFEST)).bytes).toEqual(bytes);
  expect(descriptor).toEqual({ mediaType: MEDIA_TYPES.manifest, digest: digestOf(bytes), size: bytes.length });
  expect(parseManifest(bytes)).toEqual(MANIFEST);
});

test("encodeIndex() gives the same bytes however the index was put together", () => {
  const platform = { os: "linux", architecture: "amd64", "os.features": ["b", "a"] };
  const index = { schemaVersion: 2, manifests: [{ ...LAYER, platform }] } as const;
  const { bytes, descriptor } = encodeIndex(index);
  expect(encodeIndex(reversed(index)).bytes).toEqual(bytes);
  expect(descriptor.mediaType).toBe(MEDIA_TYPES.index);
  expect(parseIndex(bytes)).toEqual(index);
});

test("encodeImageConfig() gives the same bytes however the config was put together, and keeps the order of lists", () => {
  const { bytes } = encodeImageConfig(CONFIG);
  expect(encodeImageConfig(reversed(CONFIG)).bytes).toEqual(bytes);
  expect(parseImageConfig(bytes)).toEqual(CONFIG);
});
