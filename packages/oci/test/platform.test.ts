import { assert, constantFrom, option, property, record } from "fast-check";
import { expect, test } from "vitest";
import {
  formatPlatform,
  hostPlatform,
  matchPlatform,
  normalizePlatform,
  parsePlatform,
  type Platform,
} from "@varve/oci";

test.each([
  ["linux/amd64", "linux/amd64"],
  ["linux/x86_64", "linux/amd64"],
  ["linux/amd64/v1", "linux/amd64"],
  ["linux/amd64/v3", "linux/amd64/v3"],
  ["linux/aarch64", "linux/arm64"],
  ["linux/arm64/v8", "linux/arm64"],
  ["linux/arm64/8", "linux/arm64"],
  ["linux/arm64/v9", "linux/arm64/v9"],
  ["linux/arm", "linux/arm/v7"],
  ["linux/armhf", "linux/arm/v7"],
  ["linux/armel", "linux/arm/v6"],
  ["linux/arm/6", "linux/arm/v6"],
  ["Linux/AMD64", "linux/amd64"],
  ["linux/i386", "linux/386"],
  ["macos/arm64", "darwin/arm64"],
  ["windows/amd64", "windows/amd64"],
  ["arm64", "linux/arm64"],
  ["x86_64", "linux/amd64"],
  ["linux/ppc64el", "linux/ppc64le"],
  ["linux/riscv64", "linux/riscv64"],
])("parsePlatform() reads %s as %s", (text, normal) => {
  expect(formatPlatform(parsePlatform(text))).toBe(normal);
});

test("parsePlatform() reads an operating system alone as this machine's architecture under it", () => {
  expect(parsePlatform("linux")).toEqual(hostPlatform());
});

test.each(["", "linux/", "/amd64", "linux/amd64/v1/x", "linux amd64", "plan10", "linux/../x"])(
  "parsePlatform() refuses %j",
  (text) => {
    expect(() => parsePlatform(text)).toThrow(expect.objectContaining({ code: "PLATFORM_INVALID" }));
  },
);

const platform = record(
  {
    os: constantFrom("linux", "Linux", "windows", "macos", "freebsd"),
    architecture: constantFrom("amd64", "x86_64", "arm64", "aarch64", "arm", "armhf", "armel", "386", "riscv64"),
    variant: option(constantFrom("v1", "v5", "v6", "7", "v7", "8", "v8", "v9", ""), { nil: undefined }),
  },
  { requiredKeys: ["os", "architecture"] },
).map(({ variant, ...rest }): Platform => (variant === undefined ? rest : { ...rest, variant }));

test("normalizePlatform() changes nothing the second time, and parsePlatform() reads what formatPlatform() writes", () => {
  assert(
    property(platform, (each) => {
      const normal = normalizePlatform(each);
      expect(normalizePlatform(normal)).toEqual(normal);
      expect(parsePlatform(formatPlatform(normal))).toEqual(normal);
    }),
  );
});

test("matchPlatform() finds a platform among any others", () => {
  assert(
    property(platform, platform, (wanted, other) => {
      const found = matchPlatform(wanted, [{ platform: other }, { platform: wanted }]);
      expect(found && normalizePlatform(found.platform)).toEqual(normalizePlatform(wanted));
    }),
  );
});

test("matchPlatform() takes no other variant of the same number", () => {
  const mips = { os: "linux", architecture: "mips64le" };
  const soft = { ...mips, variant: "softfloat" };
  expect(matchPlatform(soft, [{ platform: mips }])).toBeUndefined();
  expect(matchPlatform(soft, [{ platform: mips }, { platform: soft }])).toEqual({ platform: soft });
});

test.each([
  ["linux/amd64", ["linux/arm64", "linux/amd64"], "linux/amd64"],
  ["linux/arm64", ["linux/arm/v7", "linux/arm64"], "linux/arm64"],
  ["linux/arm64", ["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7"],
  ["linux/arm/v7", ["linux/arm/v5", "linux/arm/v6"], "linux/arm/v6"],
  ["linux/arm/v6", ["linux/arm/v7"], undefined],
  ["linux/amd64/v3", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], "linux/amd64/v2"],
  ["linux/amd64", ["linux/amd64/v2"], undefined],
  ["linux/amd64", ["linux/386"], "linux/386"],
  ["linux/386", ["linux/amd64"], undefined],
  ["linux/amd64", ["windows/amd64"], undefined],
  ["linux/amd64", ["unknown/unknown"], undefined],
  ["unknown/unknown", ["unknown/unknown"], undefined],
  ["linux/amd64", [], undefined],
])("matchPlatform() for %s chooses from %j %s", (wanted, available, best) => {
  const manifests = available.map((text) => {
    const [os = "", architecture = "", variant] = text.split("/");
    return { text, platform: { os, architecture, ...(variant === undefined ? {} : { variant }) } };
  });
  expect(matchPlatform(parsePlatform(wanted), manifests)?.text).toBe(best);
});

test("matchPlatform() never chooses what names no platform", () => {
  expect(matchPlatform(hostPlatform(), [{}])).toBeUndefined();
});
