/**
 * The program that becomes a process: between `unshare` and a process with standard streams of its own, or before one
 * that only changes its root directory.
 * Arguments: the config, then the directories of the cgroup that keeps the process from devices. File 3 gets a
 * `StartFailure` where the process can't be started, and is emptied right before it is.
 */
import { fstatSync, ftruncateSync, readFileSync, statSync, writeSync } from "node:fs";
import { describeFailure } from "./describe-failure.ts";
import { enterCgroup } from "./enter-cgroup.ts";
import { enterSandbox } from "./enter-sandbox.ts";
import { emptyInput } from "./init-calls.ts";
import type { RuntimeConfig } from "./runtime-config.ts";

/** Closed by execve. Not opened here: the file system that it is on becomes read-only, which writers would prevent. */
const FAILURE = 3;

const [, , configFile = "", ...cgroup] = process.argv;
const empty = (): void => ftruncateSync(FAILURE);
try {
  for (const directory of cgroup) enterCgroup(directory);
  const config = JSON.parse(readFileSync(configFile, "utf8")) as RuntimeConfig;
  // What the process does to the node itself must not reach the machine's.
  if (fstatSync(0).rdev === statSync("/dev/null").rdev) emptyInput(config.process.user);
  enterSandbox(config, { isConfined: cgroup.length > 0, onReady: empty });
} catch (error) {
  empty();
  writeSync(FAILURE, JSON.stringify(describeFailure(error)), 0);
  process.exitCode = 1;
}
