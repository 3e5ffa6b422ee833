import { expect, test } from "vitest";
import {
  DOCKER_MEDIA_TYPES,
  isForeignLayerMediaType,
  isIndexMediaType,
  isLayerMediaType,
  isManifestMediaType,
  layerCompression,
  MEDIA_TYPES,
  toDockerMediaType,
  toOciMediaType,
} from "@varve/oci";

const ROLES = Object.keys(MEDIA_TYPES) as (keyof typeof MEDIA_TYPES)[];

test.each(ROLES)("toDockerMediaType() and toOciMediaType() map %s both ways", (role) => {
  expect(toDockerMediaType(MEDIA_TYPES[role])).toBe(DOCKER_MEDIA_TYPES[role]);
  expect(toOciMediaType(DOCKER_MEDIA_TYPES[role])).toBe(MEDIA_TYPES[role]);
  expect(toOciMediaType(MEDIA_TYPES[role])).toBe(MEDIA_TYPES[role]);
});

test.each([MEDIA_TYPES, DOCKER_MEDIA_TYPES])("the predicates tell the roles apart", (types) => {
  expect(ROLES.filter((role) => isIndexMediaType(types[role]))).toEqual(["index"]);
  expect(ROLES.filter((role) => isManifestMediaType(types[role]))).toEqual(["manifest"]);
  expect(ROLES.filter((role) => isLayerMediaType(types[role]))).toEqual(["layer", "layerGzip", "layerZstd"]);
  expect(ROLES.filter((role) => isForeignLayerMediaType(types[role]))).toEqual([]);
  expect([types.layer, types.layerGzip, types.layerZstd].map(layerCompression)).toEqual(["none", "gzip", "zstd"]);
});

test.each([
  ["application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "gzip"],
  ["application/vnd.oci.image.layer.nondistributable.v1.tar", "none"],
  ["application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "gzip"],
  ["application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", "zstd"],
])("%s is a layer that must not be distributed, compressed by %s", (mediaType, compression) => {
  expect(isForeignLayerMediaType(mediaType)).toBe(true);
  expect(isLayerMediaType(mediaType)).toBe(true);
  expect(layerCompression(mediaType)).toBe(compression);
});

test("an unknown media type stays as it is", () => {
  expect(toOciMediaType("text/plain")).toBe("text/plain");
  expect(isLayerMediaType("application/vnd.cncf.helm.chart.content.v1.tar+gzip")).toBe(false);
});
