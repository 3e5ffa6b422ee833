import type { BindMount, RunCommand, TmpfsMount } from "../runner.ts";
import { grantedCapabilities } from "./capabilities.ts";
import { type DeviceRule, deviceRules } from "./device-rules.ts";

/** A mount of an OCI runtime's config, options in the words of mount(8). */
export interface RuntimeMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

/** An OCI runtime's config.json, as far as varve writes it: runtime spec, config.md and config-linux.md. */
export interface RuntimeConfig {
  readonly ociVersion: string;
  readonly process: RuntimeProcess;
  readonly root: { readonly path: string; readonly readonly: boolean };
  readonly hostname?: string;
  readonly mounts: readonly RuntimeMount[];
  readonly linux: {
    readonly namespaces: readonly { readonly type: string }[];
    readonly resources: { readonly devices: readonly DeviceRule[] };
    readonly maskedPaths?: readonly string[];
    readonly readonlyPaths?: readonly string[];
  };
}

export interface RuntimeProcess {
  readonly terminal: boolean;
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids: readonly number[] };
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly capabilities: Readonly<
    Record<"bounding" | "effective" | "permitted" | "inheritable" | "ambient", readonly string[]>
  >;
  readonly noNewPrivileges: boolean;
  readonly rlimits: readonly { readonly type: string; readonly soft: number; readonly hard: number }[];
}

export interface RuntimeConfigOptions {
  readonly rootfs: string;
  /** Mounts that every process gets beside its own: /etc/resolv.conf, /etc/hosts. */
  readonly hostFiles: readonly BindMount[];
  /** In a user namespace no sysfs can be mounted and group 5 need not exist. */
  readonly userNamespace: boolean;
  /** The runtime makes the process a terminal of its own. */
  readonly terminal?: boolean;
}

const MEBIBYTE = 1024 * 1024;
const SHM_SIZE = 64 * MEBIBYTE;
/** Stands for RLIM_INFINITY, which no number of JavaScript can. */
const UNLIMITED: number = Number.MAX_SAFE_INTEGER;
const RLIM_INFINITY = 2n ** 64n - 1n;

/** What a sandboxed process must not read, and must not write: Docker's defaults. */
const MASKED: readonly string[] = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/sys/devices/virtual/powercap",
  "/sys/firmware",
];
const READONLY: readonly string[] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/** The config of one process: what runc and crun read, and varve's own init. */
export function createRuntimeConfig(command: RunCommand, options: RuntimeConfigOptions): RuntimeConfig {
  const insecure = command.security === "insecure";
  return {
    ociVersion: "1.0.2",
    process: createProcess(command, options.terminal ?? false),
    root: { path: options.rootfs, readonly: command.readonlyRootfs ?? false },
    ...(command.hostname === undefined ? {} : { hostname: command.hostname }),
    mounts: [
      ...systemMounts(command, options),
      ...options.hostFiles.map((mount) => toRuntimeMount(mount, command)),
      ...command.devices.map(toDeviceMount),
      ...command.mounts.map((mount) => toRuntimeMount(mount, command)),
    ],
    linux: {
      namespaces: namespaces(command).map((type) => ({ type })),
      resources: { devices: deviceRules(command) },
      ...(insecure ? {} : { maskedPaths: MASKED, readonlyPaths: READONLY }),
    },
  };
}

/** The config as JSON. */
export function encodeRuntimeConfig(config: RuntimeConfig): string {
  return JSON.stringify(config).replaceAll(/(?<="(?:soft|hard)":)9007199254740991\b/g, String(RLIM_INFINITY));
}

/** A limit as encodeRuntimeConfig wrote it and JSON.parse read it, as setrlimit(2) takes it. */
export function toResourceLimit(value: number): bigint {
  return value >= UNLIMITED ? RLIM_INFINITY : BigInt(value);
}

function createProcess(command: RunCommand, terminal: boolean): RuntimeProcess {
  const allowed = grantedCapabilities(command.security);
  return {
    terminal,
    user: { uid: command.uid, gid: command.gid, additionalGids: command.additionalGids },
    args: command.args,
    env: command.env,
    cwd: command.workdir,
    capabilities: { bounding: allowed, effective: allowed, permitted: allowed, inheritable: [], ambient: [] },
    noNewPrivileges: false,
    rlimits: command.ulimits.map(({ name, soft, hard }) => ({
      type: `RLIMIT_${name.toUpperCase()}`,
      soft: soft < 0 ? UNLIMITED : soft,
      hard: hard < 0 ? UNLIMITED : hard,
    })),
  };
}

function namespaces({ network }: RunCommand): readonly string[] {
  return ["pid", "ipc", "uts", "mount", ...(network === "none" ? ["network"] : [])];
}

function systemMounts(command: RunCommand, { userNamespace }: RuntimeConfigOptions): readonly RuntimeMount[] {
  const secure = ["nosuid", "noexec", "nodev"];
  const size = `size=${command.shmSize ?? SHM_SIZE}`;
  const terminals = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
  return [
    { destination: "/proc", type: "proc", source: "proc", options: secure },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", `size=${64 * MEBIBYTE}`],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: userNamespace ? terminals : [...terminals, "gid=5"],
    },
    { destination: "/dev/shm", type: "tmpfs", source: "shm", options: [...secure, "mode=1777", size] },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: secure },
    userNamespace
      ? { destination: "/sys", type: "bind", source: "/sys", options: ["rbind", ...secure, "ro"] }
      : {
          destination: "/sys",
          type: "sysfs",
          source: "sysfs",
          options: [...secure, command.security === "insecure" ? "rw" : "ro"],
        },
  ];
}

/** Devices are bound where they stand: works without mknod. */
function toDeviceMount(path: string): RuntimeMount {
  return { destination: path, type: "bind", source: path, options: ["rbind", "rw"] };
}

/** In a sandbox no device works that the process makes or brings along, whatever a cgroup forbids it or not. */
function toRuntimeMount(mount: BindMount | TmpfsMount, { security }: RunCommand): RuntimeMount {
  const { target: destination } = mount;
  if (mount.type === "bind") {
    const devices = security === "insecure" ? [] : ["nodev"];
    const options = ["rbind", mount.readonly ? "ro" : "rw", ...devices];
    return { destination, type: "bind", source: mount.source, options };
  }
  const size = mount.size === undefined ? [] : [`size=${mount.size}`];
  return { destination, type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", "mode=1777", ...size] };
}
