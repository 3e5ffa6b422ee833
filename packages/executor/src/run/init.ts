/**
 * The program that stands between `unshare` and a RUN's process: makes the mounts, enters the rootfs, drops what the
 * process must not have, and becomes the process. Reads its plan from the file named by its argument.
 */
import { accessSync, constants, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { spawnSync } from "node:child_process";
import type { InitMount, InitPlan } from "./init-plan.ts";

const MS_BIND = 0x1000;
const MS_REC = 0x4000;
const MS_REMOUNT = 0x20;
const MS_RDONLY = 1;
const MS_PRIVATE = 0x40000;
const PR_CAPBSET_DROP = 24;
const RESOURCES = [
  "cpu",
  "fsize",
  "data",
  "stack",
  "core",
  "rss",
  "nproc",
  "nofile",
  "memlock",
  "as",
  "locks",
  "sigpending",
  "msgqueue",
  "nice",
  "rtprio",
  "rttime",
];
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;

type Call = (...values: unknown[]) => number;

const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi").default;
const libc = koffi.load(null);
const declare = (signature: string): Call => libc.func(signature);
const mount = declare(
  "int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)",
);
const chroot = declare("int chroot(const char *path)");
const sethostname = declare("int sethostname(const char *name, size_t length)");
const prctl = declare("int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)");
const setrlimit = declare("int setrlimit(int resource, const void *limit)");

function check(result: number, what: string): void {
  if (result !== 0) throw new Error(`${what}: errno ${koffi.errno()}`);
}

function main(): never {
  const plan = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as InitPlan;
  const { command } = plan;
  if (plan.mounts.length > 0) check(mount("none", "/", "none", MS_REC | MS_PRIVATE, null), "make mounts private");
  for (const each of plan.mounts) makeMount(each);
  if (plan.loopback) spawnSync("ip", ["link", "set", "lo", "up"]);
  if (plan.hostname !== undefined) check(sethostname(plan.hostname, Buffer.byteLength(plan.hostname)), "sethostname");
  process.chdir(plan.rootfs);
  check(chroot("."), "chroot");
  process.chdir(command.workdir);
  for (const { name, soft, hard } of command.ulimits) setLimit(name, soft, hard);
  for (const capability of plan.dropped) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  process.setgroups?.([command.gid, ...command.additionalGids]);
  process.setgid?.(command.gid);
  process.setuid?.(command.uid);
  return become(command.args, command.env);
}

function makeMount({ type, source, target, flags, options, readonly }: InitMount): void {
  check(mount(source, target, type, flags, options ?? null), `mount ${type} on ${target}`);
  if (readonly === true)
    check(
      mount("none", target, "none", MS_REMOUNT | MS_BIND | MS_RDONLY | (flags & ~MS_REC), null),
      `remount ${target} read-only`,
    );
}

function setLimit(name: string, soft: number, hard: number): void {
  const limit = Buffer.alloc(16);
  limit.writeBigInt64LE(BigInt(soft), 0);
  limit.writeBigInt64LE(BigInt(hard), 8);
  check(setrlimit(RESOURCES.indexOf(name), limit), `setrlimit ${name}`);
}

function become(args: readonly string[], env: readonly string[]): never {
  const variables = Object.fromEntries(
    env.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]),
  );
  const [name = ""] = args;
  const path = findExecutable(name, variables["PATH"] ?? "");
  if (path === undefined) exit(`${name}: not found or not executable in the image`, NOT_FOUND);
  if (process.execve === undefined) exit("this Node has no process.execve", NOT_EXECUTABLE);
  return process.execve(path, args, variables);
}

function exit(message: string, code: number): never {
  process.stderr.write(`${message}\n`);
  process.exit(code);
}

function findExecutable(name: string, path: string): string | undefined {
  const candidates = name.includes("/")
    ? [name]
    : path.split(":").map((directory) => `${directory === "" ? "." : directory}/${name}`);
  return candidates.find((candidate) => {
    try {
      accessSync(candidate, constants.X_OK);
      return statSync(candidate).isFile();
    } catch {
      return false;
    }
  });
}

try {
  main();
} catch (error) {
  exit(
    `varve init: ${error instanceof Error ? error.message : String(error)}`,
    Number(process.env["VARVE_INIT_FAILURE"] ?? NOT_EXECUTABLE),
  );
}
