import { existsSync, mkdirSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createMountPoints, makeMountPoints } from "../../src/run/mount-points.ts";
import { temporary } from "./sandbox.ts";

const old = 1_600_000_000;

test("createMountPoints() makes what is absent and takes it away, times and all", () => {
  const rootfs = temporary();
  utimesSync(rootfs, old, old);
  {
    using points = createMountPoints(rootfs);
    expect(points.make("/etc/hosts", "file")).toBe(join(rootfs, "etc/hosts"));
    expect(points.make("/a/b/c", "directory")).toBe(join(rootfs, "a/b/c"));
    expect(statSync(join(rootfs, "etc/hosts")).isFile()).toBe(true);
    expect(statSync(join(rootfs, "a/b/c")).isDirectory()).toBe(true);
  }
  expect(readdirSync(rootfs)).toEqual([]);
  expect(statSync(rootfs).mtimeMs).toBe(old * 1000);
});

test("createMountPoints() keeps what was there, and what was filled or removed meanwhile", () => {
  const rootfs = temporary();
  mkdirSync(join(rootfs, "etc"));
  {
    using points = createMountPoints(rootfs);
    for (const path of ["/etc", "/filled", "/removed"]) points.make(path, "directory");
    for (const path of ["/etc/hosts", "/written"]) points.make(path, "file");
    writeFileSync(join(rootfs, "filled", "file"), "");
    writeFileSync(join(rootfs, "written"), "text");
    rmSync(join(rootfs, "removed"), { recursive: true });
  }
  expect(readdirSync(rootfs).toSorted()).toEqual(["etc", "filled", "written"]);
  expect(readdirSync(join(rootfs, "etc"))).toEqual([]);
});

test("createMountPoints() leaves a directory the time at which the process changed it", () => {
  const rootfs = temporary();
  utimesSync(rootfs, old, old);
  let changed = 0;
  {
    using points = createMountPoints(rootfs);
    points.make("/proc", "directory");
    writeFileSync(join(rootfs, "file"), "");
    utimesSync(rootfs, old + 5, old + 5);
    changed = statSync(rootfs).mtimeMs;
  }
  expect(statSync(rootfs).mtimeMs).toBe(changed);
});

test("makeMountPoints() leaves targets within other mounts to the runner", () => {
  const [rootfs, source] = [temporary(), temporary()];
  writeFileSync(join(source, "file"), "");
  using points = createMountPoints(rootfs);
  makeMountPoints(points, [
    { destination: "/cache", type: "bind", source, options: [] },
    { destination: "/cache/in", type: "tmpfs", source: "tmpfs", options: [] },
    { destination: "/file", type: "bind", source: join(source, "file"), options: [] },
  ]);
  expect(existsSync(join(rootfs, "cache", "in"))).toBe(false);
  expect(statSync(join(rootfs, "file")).isFile()).toBe(true);
});
