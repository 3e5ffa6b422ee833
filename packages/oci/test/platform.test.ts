import { describe, expect, test } from "vitest";
import { formatPlatform, matchPlatform, parsePlatform } from "../src/index.ts";

describe("parsePlatform()", () => {
  test.each([
    ["linux/amd64", "linux/amd64"],
    ["Linux/x86_64", "linux/amd64"],
    ["linux/arm64/v8", "linux/arm64"],
    ["aarch64", "linux/arm64"],
    ["linux/arm", "linux/arm/v7"],
    ["linux/armhf", "linux/arm/v7"],
    ["linux/arm/6", "linux/arm/v6"],
    ["linux/i386", "linux/386"],
    ["macos/arm64", "darwin/arm64"],
  ])("reads %s as %s", (text, wanted) => {
    expect(formatPlatform(parsePlatform(text))).toBe(wanted);
  });

  test.each(["", "linux/", "a/b/c/d", "linux amd64", "nonsense"])("refuses %j", (text) => {
    expect(() => parsePlatform(text)).toThrowError(expect.objectContaining({ code: "PLATFORM_INVALID" }));
  });
});

describe("matchPlatform()", () => {
  const available = ["linux/amd64", "linux/arm/v6", "linux/arm/v7", "linux/arm64", "unknown/unknown"].map((text) => {
    const [os = "", architecture = "", variant] = text.split("/");
    return { platform: { os, architecture, ...(variant === undefined ? {} : { variant }) } };
  });
  test.each([
    ["linux/amd64", "linux/amd64"],
    ["linux/arm/v7", "linux/arm/v7"],
    ["linux/arm/v8", "linux/arm/v7"],
    ["linux/arm/v5", undefined],
    ["linux/s390x", undefined],
    ["windows/amd64", undefined],
  ])("gives %s the image for %s", (wanted, found) => {
    const match = matchPlatform(parsePlatform(wanted), available);
    expect(match === undefined ? undefined : formatPlatform(match.platform)).toBe(found);
  });

  test("lets arm64 run arm where there is nothing better", () => {
    const arm = available.filter(({ platform }) => platform.architecture === "arm");
    expect(matchPlatform(parsePlatform("linux/arm64"), arm)?.platform.variant).toBe("v7");
  });
});
