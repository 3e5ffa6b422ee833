/**
 * The program that becomes a process: between `unshare` and a process with standard streams of its own, or before one
 * that only changes its root directory.
 * Argument: the config. File 3 gets a `StartFailure` where the process can't be started, and is emptied right before it is.
 */
import { ftruncateSync, readFileSync, writeSync } from "node:fs";
import { describeFailure } from "./describe-failure.ts";
import { enterSandbox } from "./enter-sandbox.ts";
import type { RuntimeConfig } from "./runtime-config.ts";

/** Closed by execve. Not opened here: the file system that it is on becomes read-only, which writers would prevent. */
const FAILURE = 3;

const [, , configFile = ""] = process.argv;
const empty = (): void => ftruncateSync(FAILURE);
try {
  enterSandbox(JSON.parse(readFileSync(configFile, "utf8")) as RuntimeConfig, empty);
} catch (error) {
  empty();
  writeSync(FAILURE, JSON.stringify(describeFailure(error)), 0);
  process.exitCode = 1;
}
