import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { CAPABILITIES } from "./capabilities.ts";
import { allowsAllDevices, COMMON_DEVICES } from "./device-rules.ts";
import { findExecutable } from "./find-executable.ts";
import {
  becomeProgram,
  chroot,
  closeOthersOnExec,
  dropCapabilities,
  joinOwnKeyring,
  makeDevice,
  makeSession,
  mount,
  MOUNT_FLAGS,
  MS_BIND,
  MS_REC,
  pivotRoot,
  raiseLoopback,
  setHostname,
  setMountFlags,
  setResourceLimit,
} from "./init-calls.ts";
import { mountPointKind } from "./mount-point-kind.ts";
import { resolveInRoot } from "./resolve-in-root.ts";
import { type RuntimeConfig, type RuntimeMount, type RuntimeProcess, toResourceLimit } from "./runtime-config.ts";

const DEVICE_LINKS: readonly (readonly [name: string, target: string])[] = [
  ["fd", "/proc/self/fd"],
  ["stdin", "/proc/self/fd/0"],
  ["stdout", "/proc/self/fd/1"],
  ["stderr", "/proc/self/fd/2"],
  ["ptmx", "pts/ptmx"],
];
const UMASK = 0o022;
/** include/uapi/asm-generic/fcntl.h: for a file that is not used but as a place. */
const O_PATH = 0o10000000;

/** How a process enters its sandbox. */
export interface Entrance {
  /** A cgroup keeps it from the devices that its config forbids; where none does, no device works that it makes. */
  readonly isConfined: boolean;
  /** Called right before the program is executed. */
  readonly onReady: () => void;
}

/**
 * Becomes the process of `config`: does what an OCI runtime does inside new namespaces. It makes the mounts, enters the
 * rootfs, drops what the process must not have, and executes its program. Where the config names no namespaces, it only
 * enters the rootfs.
 * @throws ProgramError where the image's program can't be executed; Error where a call of the system fails.
 */
export function enterSandbox(config: RuntimeConfig, { isConfined, onReady }: Entrance): never {
  const names = new Set(config.linux.namespaces.map(({ type }) => type));
  if (names.has("network")) raiseLoopback();
  if (names.has("uts") && config.hostname !== undefined) setHostname(config.hostname);
  if (names.has("mount")) enterMounts(config, isConfined);
  else {
    process.chdir(config.root.path);
    chroot();
  }
  return become(config.process, onReady);
}

function enterMounts(config: RuntimeConfig, isConfined: boolean): void {
  const rootfs = config.root.path;
  mount(rootfs, rootfs, { flags: MS_BIND | MS_REC });
  // Where no cgroup keeps this process from devices, nodes that it makes must not work, wherever it makes them.
  const nodev = isConfined || allowsAllDevices(config.linux.resources.devices) ? 0 : (MOUNT_FLAGS["nodev"] ?? 0);
  if (nodev !== 0) setMountFlags(rootfs, nodev);
  let nothing = "/dev/null";
  for (const each of config.mounts) {
    const target = makeMount(rootfs, each);
    if (each.destination !== "/dev" || each.type === "bind") continue;
    fillDevices(target, nodev);
    // Held open, as another mount may hide it.
    nothing = `/proc/self/fd/${openSync(join(target, "null"), O_PATH | constants.O_NOFOLLOW)}`;
  }
  for (const path of config.linux.readonlyPaths ?? []) makeReadonly(join(rootfs, path));
  for (const path of config.linux.maskedPaths ?? []) mask(join(rootfs, path), nothing);
  if (config.root.readonly) setMountFlags(rootfs, MOUNT_FLAGS["ro"] ?? 0, "alone");
  process.chdir(rootfs);
  pivotRoot();
}

/** Gives the place of the mount. */
function makeMount(rootfs: string, each: RuntimeMount): string {
  const { type, source, options } = each;
  const target = makeTarget(rootfs, each);
  const flags = options.reduce((bits, option) => bits | (MOUNT_FLAGS[option] ?? 0), 0);
  if (type === "bind") {
    mount(source, target, { flags: MS_BIND | MS_REC });
    if (flags !== 0) setMountFlags(target, flags);
    return target;
  }
  const words = new Set(["rw", "strictatime", ...Object.keys(MOUNT_FLAGS)]);
  const rest = options.filter((option) => !words.has(option)).join(",");
  try {
    mount(source, target, { type, flags, options: rest });
  } catch (cause) {
    // In a container whose own /proc has parts hidden, the kernel allows no other one; that one serves.
    if (type !== "proc") throw cause;
    mount("/proc", target, { flags: MS_BIND | MS_REC });
  }
  return target;
}

/** Resolved when its turn comes: an earlier mount may stand on the way. */
function makeTarget(rootfs: string, { destination, type, source }: RuntimeMount): string {
  const target = join(rootfs, ...resolveInRoot(rootfs, destination));
  // To open a file that is there would bring it into the uppermost layer.
  if (existsSync(target)) return target;
  const kind = mountPointKind(type, source);
  mkdirSync(kind === "directory" ? target : dirname(target), { recursive: true });
  if (kind === "file") closeSync(openSync(target, "a"));
  return target;
}

/** Devices of its own: what the process does to the nodes themselves does not reach the machine's. */
function fillDevices(dev: string, nodev: number): void {
  for (const device of COMMON_DEVICES) {
    const path = join(dev, device.name);
    try {
      makeDevice(path, device);
      // A mount of its own, without the flag.
      if (nodev !== 0) mount(path, path, { flags: MS_BIND });
    } catch {
      // In a user namespace nobody makes devices.
      writeFileSync(path, "");
      mount(`/dev/${device.name}`, path, { flags: MS_BIND });
    }
  }
  if (nodev !== 0) setMountFlags(dev, nodev | (MOUNT_FLAGS["nosuid"] ?? 0), "alone");
  for (const [name, target] of DEVICE_LINKS) symlinkSync(target, join(dev, name));
}

function makeReadonly(path: string): void {
  if (!existsSync(path)) return;
  mount(path, path, { flags: MS_BIND | MS_REC });
  setMountFlags(path, MOUNT_FLAGS["ro"] ?? 0);
}

/** `nothing`: the path of a null device. */
function mask(path: string, nothing: string): void {
  if (!existsSync(path)) return;
  try {
    mount(nothing, path, { flags: MS_BIND });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOTDIR") throw cause;
    mount("tmpfs", path, { type: "tmpfs", flags: MOUNT_FLAGS["ro"] ?? 0 });
  }
}

function become({ terminal, user, args, env, cwd, capabilities, rlimits }: RuntimeProcess, onReady: () => void): never {
  // With a terminal it has to stay in the session that the terminal belongs to.
  if (!terminal) makeSession();
  joinOwnKeyring();
  closeOthersOnExec();
  const allowed = new Set(capabilities.bounding);
  dropCapabilities(CAPABILITIES.flatMap((name, number) => (allowed.has(name) ? [] : [number])));
  for (const { type, soft, hard } of rlimits) {
    setResourceLimit(type, toResourceLimit(soft), toResourceLimit(hard));
  }
  setUser(user);
  process.umask(UMASK);
  process.chdir(cwd);
  const [name = ""] = args;
  const program = findExecutable(name, env);
  onReady();
  return becomeProgram(program, args, env);
}

function setUser({ uid, gid, additionalGids }: RuntimeProcess["user"]): void {
  if (maySetGroups()) process.setgroups?.([...additionalGids]);
  process.setgid?.(gid);
  process.setuid?.(uid);
}

/** A user namespace with a single group allows no others: user_namespaces(7). A rootfs without /proc tells nothing. */
function maySetGroups(): boolean {
  try {
    return readFileSync("/proc/self/setgroups", "latin1").trim() !== "deny";
  } catch {
    return true;
  }
}
