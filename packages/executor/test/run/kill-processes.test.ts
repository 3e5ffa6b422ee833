import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { killDescendants, killInRoot } from "../../src/run/kill-processes.ts";
import { makeRootfs, processesWith, sleepMarker } from "./sandbox.ts";

test("killDescendants() kills children and theirs, and spares the process", async () => {
  const marker = sleepMarker();
  const child = spawn("sh", ["-c", `(sleep ${marker} & sleep ${marker}) & echo ready; wait; cat`], { stdio: "pipe" });
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child.stdout, "data");
  const pid = child.pid ?? 0;
  await expect.poll(() => processesWith(`sleep\0${marker}`).length).toBe(2);
  expect(killDescendants(pid)).toBe(true);
  await expect.poll(() => processesWith(`sleep\0${marker}`)).toEqual([]);
  expect(child.exitCode).toBeNull();
});

test("killDescendants() says that there are none", () => {
  expect(killDescendants(2 ** 22 + 1)).toBe(false);
});

test("killInRoot() kills what runs in a root directory, orphans too, and nothing else", async () => {
  const [marker, other, rootfs] = [sleepMarker(), sleepMarker(), makeRootfs()];
  // The shell gives a process in the background no other stdin.
  mkdirSync(join(rootfs, "dev"));
  writeFileSync(join(rootfs, "dev", "null"), "");
  const outside = spawn("sleep", [other]);
  const child = spawn("chroot", [rootfs, "/bin/sh", "-c", `setsid /bin/sleep ${marker} & echo ready`], {
    stdio: "pipe",
  });
  await once(child, "exit");
  await expect.poll(() => processesWith(`sleep\0${marker}`).length).toBe(1);
  killInRoot(rootfs);
  await expect.poll(() => processesWith(`sleep\0${marker}`)).toEqual([]);
  expect(processesWith(other)).toEqual([outside.pid]);
});
