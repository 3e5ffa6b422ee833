import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { resolveInRoot } from "../../src/run/resolve-in-root.ts";
import { temporary } from "./sandbox.ts";

function makeLinks(): string {
  const rootfs = temporary();
  mkdirSync(join(rootfs, "usr", "lib"), { recursive: true });
  symlinkSync("usr/lib", join(rootfs, "lib"));
  symlinkSync("/etc", join(rootfs, "usr", "absolute"));
  symlinkSync("../../../../../../etc/shadow", join(rootfs, "usr", "escape"));
  symlinkSync("loop", join(rootfs, "loop"));
  return rootfs;
}

test.each([
  ["/", ""],
  ["/a//b/./c", "a/b/c"],
  ["/lib/x", "usr/lib/x"],
  ["/usr/absolute/hosts", "etc/hosts"],
  ["/usr/escape", "etc/shadow"],
  ["/../../etc", "etc"],
  ["/lib/..", "usr"],
])("resolveInRoot() leads %s to %s", (target, expected) => {
  expect(resolveInRoot(makeLinks(), target).join("/")).toBe(expected);
});

test("resolveInRoot() refuses links in circles", () => {
  expect(() => resolveInRoot(makeLinks(), "/loop/x")).toThrow('Cannot resolve "/loop/x": too many symbolic links');
});
