import type { RunCommand } from "../runner.ts";
import { CAPABILITIES, SANDBOX_CAPABILITIES } from "./capabilities.ts";
import type { HostFiles } from "./host-files.ts";

/** An OCI runtime's config.json, as far as varve writes it. Runtime spec, config.md and config-linux.md. */
export type RuntimeConfig = Readonly<Record<string, unknown>>;

export interface RuntimeConfigOptions {
  readonly rootfs: string;
  readonly files: HostFiles;
  /** In a user namespace no device nodes are made and /sys is bound. */
  readonly rootless: boolean;
}

const SHM_SIZE = 64 * 1024 * 1024;

const MASKED = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/sys/firmware",
];
const READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/** The config for one process. */
export function createRuntimeConfig(command: RunCommand, options: RuntimeConfigOptions): RuntimeConfig {
  const insecure = command.security === "insecure";
  const capabilities = insecure ? CAPABILITIES : SANDBOX_CAPABILITIES;
  return {
    ociVersion: "1.0.2",
    process: {
      terminal: false,
      user: {
        uid: command.uid,
        gid: command.gid,
        additionalGids: [...new Set([command.gid, ...command.additionalGids])],
      },
      args: command.args,
      env: command.env,
      cwd: command.workdir,
      capabilities: {
        bounding: capabilities,
        effective: capabilities,
        permitted: capabilities,
        inheritable: [],
        ambient: [],
      },
      noNewPrivileges: false,
      rlimits: command.ulimits.map(({ name, soft, hard }) => ({ type: `RLIMIT_${name.toUpperCase()}`, soft, hard })),
    },
    root: { path: options.rootfs, readonly: false },
    ...(command.hostname === undefined ? {} : { hostname: command.hostname }),
    mounts: [...systemMounts(command, options), ...commandMounts(command)],
    linux: {
      namespaces: namespaces(command).map((type) => ({ type })),
      resources: insecure ? { devices: [{ allow: true, access: "rwm" }] } : {},
      ...(insecure ? {} : { maskedPaths: MASKED, readonlyPaths: READONLY }),
    },
  };
}

function namespaces(command: RunCommand): string[] {
  return ["pid", "ipc", "uts", "mount", ...(command.network === "none" ? ["network"] : [])];
}

function systemMounts(command: RunCommand, { files, rootless }: RuntimeConfigOptions): object[] {
  const shm = command.shmSize ?? SHM_SIZE;
  const secure = ["nosuid", "noexec", "nodev"];
  return [
    { destination: "/proc", type: "proc", source: "proc", options: secure },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", ...(rootless ? [] : ["gid=5"])],
    },
    { destination: "/dev/shm", type: "tmpfs", source: "shm", options: [...secure, "mode=1777", `size=${shm}`] },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: secure },
    rootless || command.network === "host"
      ? { destination: "/sys", type: "none", source: "/sys", options: ["rbind", ...secure, "ro"] }
      : {
          destination: "/sys",
          type: "sysfs",
          source: "sysfs",
          options: [...secure, command.security === "insecure" ? "rw" : "ro"],
        },
    { destination: "/etc/resolv.conf", type: "bind", source: files.resolvConf, options: ["bind", "ro"] },
    { destination: "/etc/hosts", type: "bind", source: files.hosts, options: ["bind", "ro"] },
  ];
}

function commandMounts(command: RunCommand): object[] {
  return command.mounts.map((mount) => {
    if (mount.type === "bind") {
      return {
        destination: mount.target,
        type: "bind",
        source: mount.source,
        options: ["rbind", mount.readonly ? "ro" : "rw"],
      };
    }
    const size = mount.size === undefined ? [] : [`size=${mount.size}`];
    return {
      destination: mount.target,
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "nodev", "mode=1777", ...size],
    };
  });
}
