/** System calls that node does not have, for the init programs alone: koffi takes 9 ms to load. */
import { chmodSync, closeSync, fchownSync, openSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { getSystemErrorMessage, getSystemErrorName } from "node:util";
import { ProgramError } from "./program-error.ts";

type Call = (...values: unknown[]) => number;

const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi").default;
const libc = koffi.load(null);

/** include/uapi/linux/mount.h; the MS_ bits of these have the same values. */
export const MOUNT_FLAGS: Readonly<Record<string, number>> = { ro: 1, nosuid: 2, nodev: 4, noexec: 8 };
export const MS_BIND = 0x1000;
export const MS_REC = 0x4000;
const MS_REMOUNT = 0x20;
const MNT_DETACH = 2;
const MS_PRIVATE = 0x40000;
/** include/uapi/linux/stat.h. */
const S_IFCHR = 0o020000;
/** include/uapi/linux/sched.h, by the runtime spec's names of namespaces. */
const NAMESPACES: Readonly<Record<string, number>> = {
  mount: 0x0002_0000,
  uts: 0x0400_0000,
  ipc: 0x0800_0000,
  pid: 0x2000_0000,
  network: 0x4000_0000,
};
/** include/uapi/asm-generic/mman-common.h. */
const MADV_DOFORK = 11;
/** proc_pid_maps(5): of no file, and not of the kernel. */
const PRIVATE_MAPPING = /^(\w+)-(\w+) [-r][-w][-x]p \S+ \S+ 0 *(?:\[anon.*)?$/gm;
/** include/uapi/linux/fcntl.h. */
const AT_FDCWD = -100;
const AT_RECURSIVE = 0x8000;
/** include/uapi/linux/prctl.h, asm/signal.h. */
const PR_CAPBSET_DROP = 24;
const [SIGPIPE, SIGXFSZ] = [13, 25] as const;
const SIG_DFL = 0;
/** asm/poll.h. */
const POLLIN = 1;
/** include/uapi/asm-generic/fcntl.h. */
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
const STANDARD_STREAMS = [0, 1, 2] as const;
/** The same on all architectures: it came after their tables were made one. */
const SYS_MOUNT_SETATTR = 442;
const SYS_PIDFD_OPEN = 434;
const SYS_CLOSE_RANGE = 436;
const SYS_PIVOT_ROOT: Readonly<Record<string, number>> = {
  x64: 155,
  arm64: 41,
  arm: 218,
  ia32: 217,
  loong64: 41,
  ppc64: 203,
  riscv64: 41,
  s390x: 217,
};
const SYS_KEYCTL: Readonly<Record<string, number>> = {
  x64: 250,
  arm64: 219,
  arm: 311,
  ia32: 288,
  loong64: 219,
  ppc64: 271,
  riscv64: 219,
  s390x: 280,
};
/** include/uapi/linux/keyctl.h, close_range.h. */
const KEYCTL_JOIN_SESSION_KEYRING = 1;
const CLOSE_RANGE_CLOEXEC = 4;
const LAST_FILE = 0xff_ff_ff_ff;
/** RLIMIT_ numbers: asm-generic/resource.h. */
const RESOURCES: readonly string[] = [
  "CPU",
  "FSIZE",
  "DATA",
  "STACK",
  "CORE",
  "RSS",
  "NPROC",
  "NOFILE",
  "MEMLOCK",
  "AS",
  "LOCKS",
  "SIGPENDING",
  "MSGQUEUE",
  "NICE",
  "RTPRIO",
  "RTTIME",
];
/** include/uapi/linux/if.h, sockios.h. */
const AF_INET = 2;
const SOCK_DGRAM = 2;
const SIOCSIFFLAGS = 0x8914;
const IFF_UP = 1;
const IFREQ_SIZE = 40;
const IFREQ_FLAGS = 16;

/** mount(2). `flags` are MS_ bits. */
export function mount(source: string, target: string, how: { type?: string; flags: number; options?: string }): void {
  const call = declare(
    "int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)",
  );
  check(
    call(source, target, how.type ?? null, how.flags, how.options ?? null),
    `mount ${how.type ?? source} on ${target}`,
  );
}

/** Sets flags on a mount and all in it, or on it alone: mount_setattr(2); always on it alone before Linux 5.12. */
export function setMountFlags(target: string, flags: number, reach: "all" | "alone" = "all"): void {
  const call = declare(
    "long syscall(long number, long at, const char *path, unsigned int how, const void *attributes, size_t size)",
  );
  const attributes = BigUint64Array.of(BigInt(flags), 0n, 0n, 0n);
  const how = reach === "all" ? AT_RECURSIVE : 0;
  if (call(SYS_MOUNT_SETATTR, AT_FDCWD, target, how, attributes, attributes.byteLength) === 0) return;
  if (getSystemErrorName(-koffi.errno()) !== "ENOSYS") check(-1, `change flags of ${target}`);
  mount("none", target, { flags: MS_REMOUNT | MS_BIND | flags });
}

/**
 * Makes the working directory, a mount point, the root of this mount namespace and lets go of the old one. Read-only: a
 * process can reach the program that it was before, as /proc/self/exe, and must not write to the machine's own.
 */
export function pivotRoot(): void {
  const number = SYS_PIVOT_ROOT[process.arch];
  if (number === undefined) throw new Error(`pivot_root is not known for ${process.arch}`);
  const old = openSync("/", "r");
  check(declare("long syscall(long number, const char *root, const char *old)")(number, ".", "."), "pivot_root");
  check(declare("int fchdir(int file)")(old), "enter the old root");
  setMountFlags(".", MOUNT_FLAGS["ro"] ?? 0);
  check(declare("int umount2(const char *target, int flags)")(".", MNT_DETACH), "umount the old root");
  process.chdir("/");
}

/** mknod(2): a character device that all can read and write. @throws Error with code EPERM in a user namespace. */
export function makeDevice(path: string, { major, minor }: { readonly major: number; readonly minor: number }): void {
  const call = declare("int mknod(const char *path, uint32_t mode, uint64_t device)");
  check(call(path, S_IFCHR, (major << 8) | minor), `make device ${path}`);
  chmodSync(path, 0o666);
}

/** pipe(2): the files of its two ends. */
export function makePipe(): { readonly reader: number; readonly writer: number } {
  const files = new Int32Array(2);
  check(declare("int pipe(void *files)")(files), "make a pipe");
  const [reader = 0, writer = 0] = files;
  return { reader, writer };
}

/** Makes standard input a pipe that `uid` can open and that has come to its end. */
export function emptyInput({ uid, gid }: { readonly uid: number; readonly gid: number }): void {
  const { reader, writer } = makePipe();
  closeSync(writer);
  fchownSync(reader, uid, gid);
  makeStream(reader, 0);
  closeSync(reader);
}

/**
 * Makes this process the first of a new session and process group, where it is not the first of one: setsid(2). What it
 * signals to its group then reaches nobody that was there before it.
 */
export function makeSession(): void {
  if (declare("int setsid()")() < 0 && getSystemErrorName(-koffi.errno()) !== "EPERM") check(-1, "make a session");
}

/** chroot(2) into the working directory. */
export function chroot(): void {
  check(declare("int chroot(const char *path)")("."), "chroot");
  process.chdir("/");
}

/** sethostname(2). */
export function setHostname(name: string): void {
  check(declare("int sethostname(const char *name, size_t length)")(name, Buffer.byteLength(name)), "sethostname");
}

/** setrlimit(2). `type` as in an OCI runtime's config: RLIMIT_NOFILE. */
export function setResourceLimit(type: string, soft: bigint, hard: bigint): void {
  const resource = RESOURCES.indexOf(type.replace(/^RLIMIT_/, ""));
  if (resource < 0) throw new Error(`resource limit ${type} is not known`);
  const limits = BigUint64Array.of(soft, hard);
  check(declare("int setrlimit(int resource, const void *limits)")(resource, limits), `set ${type}`);
}

/**
 * Gives this process new namespaces of these types, in the runtime spec's words; mounts made in a new mount namespace
 * stay there. Of `pid`, the next child becomes the first process: unshare(2).
 */
export function makeNamespaces(types: readonly string[]): void {
  const flags = types.reduce((bits, type) => bits | (NAMESPACES[type] ?? 0), 0);
  check(declare("int unshare(int flags)")(flags), `make namespaces (${types.join(", ")})`);
  if (types.includes("mount")) mount("none", "/", { flags: MS_REC | MS_PRIVATE });
}

/** Enters the namespace that `file` is open at, a file of /proc/PID/ns. `pid`: only for the next children. setns(2). */
export function enterNamespace(file: number, type: string): void {
  check(declare("int setns(int file, int type)")(file, NAMESPACES[type] ?? 0), `enter a ${type} namespace`);
}

/**
 * fork(2): 0 in the child, whose only thread is this one, else the child's process id. V8 keeps its heap out of forks,
 * which this takes back; what it allocates meanwhile is missed, and the child ends by SIGSEGV when it touches that.
 */
export function fork(): number {
  const call = declare("int fork()");
  // Leaves room, so that nothing is allocated.
  (globalThis as { gc?: (options: { type: "minor" }) => void }).gc?.({ type: "minor" });
  keepMemoryInForks();
  return check(call(), "fork");
}

function keepMemoryInForks(): void {
  const call = declare("int madvise(uint64_t address, size_t length, int advice)");
  for (const [, start = "", end = ""] of readFileSync("/proc/self/maps", "latin1").matchAll(PRIVATE_MAPPING))
    call(BigInt(`0x${start}`), BigInt(`0x${end}`) - BigInt(`0x${start}`), MADV_DOFORK);
}

/** Waits until a child has ended, and all others in its PID namespace where it is the first there: its exit code, 128 + signal where one ended it. */
export function waitForChild(child: number): number {
  const status = new Int32Array(1);
  check(declare("int waitpid(int child, void *status, int options)")(child, status, 0), "wait for a process");
  const [value = 0] = status;
  const signal = value & 0x7f;
  return signal === 0 ? (value >> 8) & 0xff : 128 + signal;
}

/**
 * Waits until a child has ended, which gives true, or nobody is at the other end of `file` any more, a pipe or socket: false.
 * Before Linux 5.3, where a child can't be waited for that way, it gives true at once.
 */
export function outlastsChild(file: number, child: number): boolean {
  const ended = declare("long syscall(long number, int child, unsigned int flags)")(SYS_PIDFD_OPEN, child, 0);
  if (ended < 0) return true;
  // Two of struct pollfd: int fd; short events, revents.
  const files = Int32Array.of(ended, 0, file, 0);
  const events = new Int16Array(files.buffer);
  events[2] = POLLIN;
  const call = declare("int poll(void *files, unsigned long count, int timeout)");
  while (call(files, 2, -1) < 0) if (getSystemErrorName(-koffi.errno()) !== "EINTR") check(-1, "wait for a process");
  closeSync(ended);
  return events[3] !== 0;
}

/** Ends this process without anything that Node does at its end: _exit(2). */
export function exitAtOnce(code: number): never {
  declare("void _exit(int code)")(code);
  throw new Error("_exit came back");
}

/** Another number for an open file: dup(2). */
export function duplicate(file: number): number {
  return check(declare("int dup(int file)")(file), "duplicate a file");
}

/** Makes `file` the standard stream of this number: dup2(2). */
export function makeStream(file: number, stream: number): void {
  check(declare("int dup2(int file, int stream)")(file, stream), "make a standard stream");
}

/** Takes capabilities, by number, from this process and all that it becomes; what the kernel does not know is skipped. */
export function dropCapabilities(numbers: readonly number[]): void {
  const call = declare("int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)");
  for (const number of numbers) {
    if (call(PR_CAPBSET_DROP, number, 0, 0, 0) !== 0 && getSystemErrorName(-koffi.errno()) !== "EINVAL") {
      check(-1, `drop capability ${number}`);
    }
  }
}

/** Joins a session keyring that is new and empty, where the kernel has keyrings and lets this process use them. */
export function joinOwnKeyring(): void {
  const number = SYS_KEYCTL[process.arch];
  if (number === undefined) return;
  const call = declare("long syscall(long number, int operation, const char *name)");
  if (call(number, KEYCTL_JOIN_SESSION_KEYRING, null) >= 0) return;
  if (!["ENOSYS", "EPERM", "EACCES"].includes(getSystemErrorName(-koffi.errno()))) check(-1, "join a session keyring");
}

/** All files but the standard streams are closed by execve, those too that other code left open. */
export function closeOthersOnExec(): void {
  const first = STANDARD_STREAMS.length;
  const call = declare("long syscall(long number, unsigned int first, unsigned int last, unsigned int flags)");
  if (call(SYS_CLOSE_RANGE, first, LAST_FILE, CLOSE_RANGE_CLOEXEC) >= 0) return;
  // Before Linux 5.11.
  const control = declare("int fcntl(int file, int command, int flags)");
  for (const name of readdirSync("/proc/self/fd"))
    if (Number(name) >= first) control(Number(name), F_SETFD, FD_CLOEXEC);
}

/** Brings the loopback interface of this network namespace up: netdevice(7). */
export function raiseLoopback(): void {
  const socket = declare("int socket(int domain, int type, int protocol)")(AF_INET, SOCK_DGRAM, 0);
  if (socket < 0) check(socket, "socket");
  const request = Buffer.alloc(IFREQ_SIZE);
  request.write("lo");
  request.writeUInt16LE(IFF_UP, IFREQ_FLAGS);
  check(
    declare("int ioctl(int file, unsigned long request, void *argument)")(socket, SIOCSIFFLAGS, request),
    "raise lo",
  );
  check(declare("int close(int file)")(socket), "close");
}

/**
 * Becomes another program: execve(2), with the signals that node ignores and the streams that it would close as others
 * expect them.
 * @throws ProgramError where the kernel refuses: the file is no program, or its interpreter is missing.
 */
export function becomeProgram(path: string, args: readonly string[], env: readonly string[]): never {
  const setHandler = declare("void *signal(int number, intptr_t handler)");
  for (const signal of [SIGPIPE, SIGXFSZ]) setHandler(signal, SIG_DFL);
  const control = declare("int fcntl(int file, int command, int flags)");
  for (const stream of STANDARD_STREAMS) {
    check(control(stream, F_SETFD, 0), "keep standard streams open");
    // Programs do not expect a write to fail because nobody has read for a while: what they wrote would be lost.
    const flags = check(control(stream, F_GETFL, 0), "look at standard streams");
    check(control(stream, F_SETFL, flags & ~O_NONBLOCK), "make standard streams wait");
  }
  const call = declare("int execve(const char *path, const char **args, const char **env)");
  call(path, [...args, null], [...env, null]);
  const errno = koffi.errno();
  const problem = getSystemErrorName(-errno) === "ENOENT" ? "missing" : "denied";
  throw new ProgramError(problem, `exec ${path}: ${getSystemErrorMessage(-errno)}`);
}

const calls = new Map<string, Call>();

function declare(signature: string): Call {
  const call = calls.get(signature) ?? (libc.func(signature) as Call);
  calls.set(signature, call);
  return call;
}

function check(result: number, what: string): number {
  if (result >= 0) return result;
  const errno = koffi.errno();
  const code = getSystemErrorName(-errno);
  throw Object.assign(new Error(`${what}: ${getSystemErrorMessage(-errno)} (${code})`), { code });
}
