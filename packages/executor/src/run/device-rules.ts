import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { RunCommand } from "../runner.ts";

/** A rule of an OCI runtime's config, linux.resources.devices: config-linux.md, "Allowed Device list". Without a number: any. */
export interface DeviceRule {
  readonly allow: boolean;
  /** Of r (read), w (write) and m (mknod). */
  readonly access: string;
  readonly type?: "b" | "c";
  readonly major?: number;
  readonly minor?: number;
}

/** A device by its number: admin-guide/devices.txt of the kernel. */
export interface CommonDevice {
  readonly name: string;
  readonly major: number;
  readonly minor: number;
}

/** The devices that /dev of every process has. */
export const COMMON_DEVICES: readonly CommonDevice[] = [
  { name: "null", major: 1, minor: 3 },
  { name: "zero", major: 1, minor: 5 },
  { name: "full", major: 1, minor: 7 },
  { name: "random", major: 1, minor: 8 },
  { name: "urandom", major: 1, minor: 9 },
  { name: "tty", major: 5, minor: 0 },
];

/** What a process in the sandbox can do with devices: make any, as packages do that bring some, and use the harmless ones. */
const SANDBOX: readonly DeviceRule[] = [
  { allow: false, access: "rwm" },
  { allow: true, type: "c", access: "m" },
  { allow: true, type: "b", access: "m" },
  ...COMMON_DEVICES.map(({ major, minor }) => ({ allow: true, type: "c", major, minor, access: "rwm" }) as const),
  { allow: true, type: "c", major: 5, minor: 2, access: "rwm" },
  { allow: true, type: "c", major: 136, access: "rwm" },
];

/** The rules for a process; the first is for all devices, those after it for devices that it can use all the same. */
export function deviceRules({ security, devices }: Pick<RunCommand, "security" | "devices">): readonly DeviceRule[] {
  return security === "insecure" ? [{ allow: true, access: "rwm" }] : [...SANDBOX, ...devices.flatMap(rulesFor)];
}

/** True where the rules keep no device from a process. */
export function allowsAllDevices([first]: readonly DeviceRule[]): boolean {
  return first?.allow === true;
}

/** For a device, or all those in a directory. */
function rulesFor(path: string): readonly DeviceRule[] {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isDirectory() === true) return readdirSync(path).flatMap((name) => rulesFor(join(path, name)));
  const type = stats?.isBlockDevice() === true ? "b" : stats?.isCharacterDevice() === true ? "c" : undefined;
  return stats === undefined || type === undefined
    ? []
    : [{ allow: true, type, ...splitDevice(stats.rdev), access: "rwm" }];
}

/** The two parts of a device's number: glibc, sysmacros.h. */
export function splitDevice(device: number): { readonly major: number; readonly minor: number } {
  const number = BigInt(device);
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & 0xfffff000n);
  const minor = (number & 0xffn) | ((number >> 12n) & 0xffffff00n);
  return { major: Number(major), minor: Number(minor) };
}
