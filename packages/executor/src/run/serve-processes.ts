/**
 * Becomes one process after the other: for each request on standard input it forks itself, so that no process costs the
 * start of a Node. It answers on standard output when the process has ended, and ends when its input does, with the
 * process and all that it started.
 * File 3 is the mount namespace of who asks. Its own must be another one: it is made read-only, for a process can reach
 * this program as /proc/self/exe. Arguments: the directories of the cgroup that keeps the processes from devices. Node
 * must run without threads that do anything: none of them is in the forked process.
 */
import { constants, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { describeFailure } from "./describe-failure.ts";
import { enterCgroup } from "./enter-cgroup.ts";
import { enterSandbox } from "./enter-sandbox.ts";
import {
  emptyInput,
  enterNamespace,
  exitAtOnce,
  fork,
  makeNamespaces,
  makeStream,
  MOUNT_FLAGS,
  outlastsChild,
  setMountFlags,
  waitForChild,
} from "./init-calls.ts";
import type { InitReply, InitRequest } from "./init-request.ts";

const MOUNTS = 3;
const [STDIN, STDOUT, STDERR] = [0, 1, 2] as const;
/** Fails where nobody reads any more, instead of waiting for that. */
const WRITE = constants.O_WRONLY | constants.O_NONBLOCK;
const ownProcesses = openSync("/proc/self/ns/pid", "r");
const [, , ...cgroup] = process.argv;

/** The next line of standard input, or undefined at its end. Nobody sends a second request before the answer. */
function readLine(): string | undefined {
  const parts: Buffer[] = [];
  for (;;) {
    const chunk = Buffer.allocUnsafe(65_536);
    const length = readSync(STDIN, chunk);
    if (length === 0) return undefined;
    parts.push(chunk.subarray(0, length));
    if (chunk[length - 1] === 0x0a) return Buffer.concat(parts).toString("utf8");
  }
}

function serve(request: InitRequest): InitReply {
  try {
    const child = start(request);
    // The first process of a PID namespace takes all others with it.
    if (!outlastsChild(STDIN, child)) exitAtOnce(1);
    return { exitCode: waitForChild(child) };
  } catch (error) {
    return { failure: describeFailure(error) };
  }
}

function start(request: InitRequest): number {
  makeNamespaces(["pid"]);
  const child = fork();
  if (child === 0) become(request);
  enterNamespace(ownProcesses, "pid");
  return child;
}

function become({ config, stdout, stderr, failureFile }: InitRequest): never {
  try {
    enterNamespace(MOUNTS, "mount");
    const failure = openSync(failureFile, "r+");
    const empty = (): void => ftruncateSync(failure);
    try {
      emptyInput(config.process.user);
      makeStream(openSync(stdout, WRITE), STDOUT);
      makeStream(openSync(stderr, WRITE), STDERR);
      makeNamespaces(config.linux.namespaces.flatMap(({ type }) => (type === "pid" ? [] : [type])));
      enterSandbox(config, { isConfined: cgroup.length > 0, onReady: empty });
    } catch (error) {
      empty();
      writeSync(failure, JSON.stringify(describeFailure(error)), 0);
    }
  } finally {
    exitAtOnce(1);
  }
}

for (const directory of cgroup) enterCgroup(directory);
setMountFlags("/", MOUNT_FLAGS["ro"] ?? 0);
for (let line = readLine(); line !== undefined; line = readLine()) {
  const reply = serve(JSON.parse(line) as InitRequest);
  writeSync(STDOUT, `${JSON.stringify(reply)}\n`);
}
exitAtOnce(0);
