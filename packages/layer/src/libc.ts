import { createRequire } from "node:module";
import { getSystemErrorMessage, getSystemErrorName } from "node:util";

type Koffi = typeof import("koffi").default;
type Call = (...values: unknown[]) => unknown;

/** Nanoseconds in a second. */
const second = 1_000_000_000n;
/** fcntl.h: relative to the working directory; the link itself. */
const atCurrentDirectory = -100;
const atSymlinkNoFollow = 0x100;
/** include/uapi/linux/limits.h: XATTR_SIZE_MAX, XATTR_LIST_MAX. */
const largestXattr = 65536;

const declarations = {
  mknod: "int mknod(const char *path, uint32_t mode, uint64_t device)",
  llistxattr: "int64_t llistxattr(const char *path, void *list, size_t size)",
  lgetxattr: "int64_t lgetxattr(const char *path, const char *name, void *value, size_t size)",
  lsetxattr: "int lsetxattr(const char *path, const char *name, const void *value, size_t size, int flags)",
  utimensat: "int utimensat(int directory, const char *path, const void *times, int flags)",
  futimens: "int futimens(int file, const void *times)",
  mount: "int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)",
  umount2: "int umount2(const char *target, int flags)",
} as const;

let library: { readonly koffi: Koffi; readonly calls: Map<string, Call>; readonly buffer: Buffer } | undefined;

/** mknod(2): makes a device node, a fifo or, as 0:0, an overlayfs whiteout. `mode` includes the type's bits. */
export function mknod(path: string, mode: number, device: { readonly major: number; readonly minor: number }): void {
  call("mknod", path, mode, deviceNumber(device));
}

/** llistxattr(2): names of the xattrs of `path` itself. */
export function llistxattr(path: string): readonly string[] {
  // Most have none; with room for them the kernel clears as much memory of its own.
  if (Number(call("llistxattr", path, null, 0)) === 0) return [];
  const { buffer } = load();
  const length = Number(call("llistxattr", path, buffer, buffer.length));
  return length === 0 ? [] : buffer.toString("utf8", 0, length - 1).split("\0");
}

/** lgetxattr(2): the value of an xattr of `path` itself, or undefined where it has none of that name. */
export function lgetxattr(path: string, name: string): Uint8Array | undefined {
  const { buffer } = load();
  try {
    const length = Number(call("lgetxattr", path, name, buffer, buffer.length));
    return new Uint8Array(buffer.subarray(0, length));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENODATA") return undefined;
    throw error;
  }
}

/** lsetxattr(2): sets an xattr of `path` itself. */
export function lsetxattr(path: string, name: string, value: Uint8Array): void {
  call("lsetxattr", path, name, value, value.length, 0);
}

/** utimensat(2): access and modification time of `path` itself, in nanoseconds since 1970. */
export function lutimens(path: string, time: bigint): void {
  call("utimensat", atCurrentDirectory, path, timePair(time), atSymlinkNoFollow);
}

/** futimens(3): access and modification time of an open file, in nanoseconds since 1970. */
export function futimens(file: number, time: bigint): void {
  call("futimens", file, timePair(time));
}

/** mount(2). `flags` are the MS_ bits of sys/mount.h, `options` the file system's own. */
export function mount(
  source: string,
  target: string,
  how: { readonly type?: string; readonly flags?: number; readonly options?: string },
): void {
  call("mount", source, target, how.type ?? null, how.flags ?? 0, how.options ?? null);
}

/** umount2(2). `flags` are the MNT_ bits of sys/mount.h. */
export function umount2(target: string, flags: number): void {
  call("umount2", target, flags);
}

/** glibc, sysmacros.h: major and minor as one number. */
function deviceNumber({ major, minor }: { readonly major: number; readonly minor: number }): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return ((high & 0xfffff000n) << 32n) | ((high & 0xfffn) << 8n) | ((low & 0xffffff00n) << 12n) | (low & 0xffn);
}

/** Two equal `struct timespec` of a 64-bit system. */
function timePair(time: bigint): BigInt64Array {
  const fraction = ((time % second) + second) % second;
  const seconds = (time - fraction) / second;
  return BigInt64Array.of(seconds, fraction, seconds, fraction);
}

function call(name: keyof typeof declarations, ...values: readonly unknown[]): unknown {
  const { koffi, calls } = load();
  const result = calls.get(name)?.(...values);
  if (typeof result === "number" ? result >= 0 : result !== -1n) return result;
  throw systemCallError(name, koffi.errno(), values.find((value) => typeof value === "string") ?? "");
}

/** The libc that node itself runs on. Loaded at the first call only: it takes 13 ms. */
function load(): NonNullable<typeof library> {
  if (library !== undefined) return library;
  const koffi: Koffi = createRequire(import.meta.url)("koffi") as Koffi;
  const libc = koffi.load(null);
  const calls = new Map<string, Call>();
  for (const [name, declaration] of Object.entries(declarations)) calls.set(name, libc.func(declaration) as Call);
  library = { koffi, calls, buffer: Buffer.alloc(largestXattr) };
  return library;
}

/** An error as node:fs throws it: `code`, `errno`, `syscall`, `path`. */
function systemCallError(syscall: string, errno: number, path: string): NodeJS.ErrnoException {
  const code = getSystemErrorName(-errno);
  const message = `${code}: ${getSystemErrorMessage(-errno)}, ${syscall} '${path}'`;
  return Object.assign(new Error(message), { code, errno: -errno, syscall, path });
}
