/**
 * Becomes one process after the other: for each request on standard input it has forked itself before, so that no process
 * costs the start of a Node, nor the fork. It answers on standard output when the process has ended, and ends when its
 * input does, with the process and all that it started.
 * File 3 is the mount namespace of who asks. Its own must be another one: it is made read-only, for a process can reach
 * this program as /proc/self/exe. Arguments: the directories of the cgroup that keeps the processes from devices. Node
 * must run without threads that do anything: none of them is in the forked process.
 */
import {
  closeSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import { describeFailure } from "./describe-failure.ts";
import { enterCgroup } from "./enter-cgroup.ts";
import { enterSandbox } from "./enter-sandbox.ts";
import {
  duplicate,
  emptyInput,
  enterNamespace,
  exitAtOnce,
  fork,
  makeNamespaces,
  makePipe,
  makeStream,
  MOUNT_FLAGS,
  outlastsChild,
  setMountFlags,
  waitForChild,
} from "./init-calls.ts";
import type { InitMessage, InitRequest } from "./init-request.ts";

const MOUNTS = 3;
const [STDIN, STDOUT, STDERR] = [0, 1, 2] as const;
/** Fails where nobody reads any more, instead of waiting for that. */
const WRITE = constants.O_WRONLY | constants.O_NONBLOCK;
const ownProcesses = openSync("/proc/self/ns/pid", "r");
/** For forked processes as well, whose standard output is another one; execve closes it. */
const answers = duplicate(STDOUT);
const [, , ...cgroup] = process.argv;

/** A forked process that waits to be told what to become. */
interface Waiting {
  readonly child: number;
  /** The end of a pipe whose other end it reads. */
  readonly writer: number;
}

/** The next line of a file, or undefined at its end. Nobody sends a second request before the answer. */
function readLine(file: number): Buffer | undefined {
  const parts: Buffer[] = [];
  for (;;) {
    const chunk = Buffer.allocUnsafe(65_536);
    const length = readSync(file, chunk);
    if (length === 0) return undefined;
    parts.push(chunk.subarray(0, length));
    if (chunk[length - 1] === 0x0a) return Buffer.concat(parts);
  }
}

/** Forks a process that waits: the first of a PID namespace of its own. It ends when this one does. */
function forkWaiting(): Waiting {
  const { reader, writer } = makePipe();
  makeNamespaces(["pid"]);
  const child = fork();
  if (child === 0) {
    closeSync(writer);
    const line = readLine(reader);
    if (line === undefined) exitAtOnce(0);
    become(JSON.parse(line.toString("utf8")) as InitRequest);
  }
  enterNamespace(ownProcesses, "pid");
  closeSync(reader);
  return { child, writer };
}

/** Has a process that waits become that of a request, and waits for its end. */
function serve(line: Buffer, { child, writer }: Waiting): void {
  writeAll(writer, line);
  // The first process of a PID namespace takes all others with it.
  if (!outlastsChild(STDIN, child)) exitAtOnce(1);
  answer({ exitCode: waitForChild(child) });
  closeSync(writer);
}

function answer(message: InitMessage): void {
  writeSync(answers, `${JSON.stringify(message)}\n`);
}

/** Writes to the end, or as far as the reader lives: how it ended tells the rest. */
function writeAll(file: number, bytes: Buffer): void {
  try {
    for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPIPE") throw error;
  }
}

function become({ config, stdout, stderr }: InitRequest): never {
  try {
    enterNamespace(MOUNTS, "mount");
    emptyInput(config.process.user);
    makeStream(openSync(stdout, WRITE), STDOUT);
    makeStream(openSync(stderr, WRITE), STDERR);
    makeNamespaces(config.linux.namespaces.flatMap(({ type }) => (type === "pid" ? [] : [type])));
    enterSandbox(config, { isConfined: cgroup.length > 0, onReady: () => answer({ hasBegun: true }) });
  } catch (error) {
    answer({ failure: describeFailure(error) });
  } finally {
    exitAtOnce(1);
  }
}

/** Calls what a forked process is going to call, to no effect: what Node compiles for it then, none of them has to. */
function rehearse(): void {
  process.chdir("/");
  process.umask(process.umask());
  for (const path of ["/", "/proc/self/no-such-file"]) {
    existsSync(path);
    lstatSync(path, { throwIfNoEntry: false });
    statSync(path, { throwIfNoEntry: false });
  }
  mkdirSync("/", { recursive: true });
  readFileSync("/proc/self/setgroups", "latin1");
  try {
    symlinkSync("/", "/");
  } catch (error) {
    describeFailure(error);
  }
}

for (const directory of cgroup) enterCgroup(directory);
setMountFlags("/", MOUNT_FLAGS["ro"] ?? 0);
// Of the errors that calls end with in a forked process most tell what the machine lacks; nobody sees where they arose.
Error.stackTraceLimit = 0;
rehearse();
let waiting = forkWaiting();
for (let line = readLine(STDIN); line !== undefined; line = readLine(STDIN)) {
  serve(line, waiting);
  // Beside what varve does between two processes.
  waiting = forkWaiting();
}
exitAtOnce(0);
