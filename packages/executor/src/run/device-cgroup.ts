import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { attachDeviceProgram } from "./attach-device-program.ts";
import type { DeviceRule } from "./device-rules.ts";
import { type CgroupPlace, findCgroups } from "./find-cgroups.ts";

/** A cgroup of its own in every hierarchy that keeps its processes from devices. */
export interface DeviceCgroup {
  /** One in each hierarchy. A process has to be in all of them. */
  readonly directories: readonly string[];
  /** Takes them away once their processes have ended; those stay whose processes do not. */
  remove(): Promise<void>;
}

/** What the names of varve's cgroups are: their maker's PID namespace, process id and start time, and something random. */
const NAME = /^varve-devices-(\d+)-(\d+)-(\d+)-\w+$/;
/** Milliseconds between attempts to remove a cgroup; the kernel takes a moment to let go of processes that ended. */
const REMOVAL_PAUSES = [0, 1, 2, 5, 10, 20, 50, 100] as const;
/** What a new cgroup of this controller lacks before a process can be put into it: cpusets(7). */
const CPUSET_FILES = ["cpuset.cpus", "cpuset.mems"] as const;

/**
 * Makes a cgroup beneath each of `places`, this process' own, whose processes can use devices by `rules` only: the first
 * is for all devices, the others allow. One hierarchy has the rules. The others are for a process that mounts them, as it
 * can in a user namespace: it must not find other cgroups there. What killed processes left behind is removed.
 * @throws Error where that can't be done, as in most containers; its message says why.
 */
export function makeDeviceCgroup(
  rules: readonly DeviceRule[],
  places: readonly CgroupPlace[] = findCgroups(),
): DeviceCgroup {
  const ruling = places.find(({ controllers }) => controllers.includes("devices")) ?? places.find(isUnified);
  if (ruling === undefined) throw new Error("no cgroup file system with devices is mounted");
  const name = `varve-devices-${processNamespace()}-${process.pid}-${startTime(process.pid)}-${randomBytes(4).toString("hex")}`;
  const directories: string[] = [];
  try {
    for (const place of places) {
      removeAbandoned(place.directory);
      directories.push(makeDirectory(place, name));
    }
    writeRules(ruling, join(ruling.directory, name), rules);
  } catch (error) {
    for (const directory of directories) rmdirSync(directory);
    throw error;
  }
  return {
    directories,
    async remove() {
      await Promise.all(directories.map(removeWhenEmpty));
    },
  };
}

function isUnified({ version }: CgroupPlace): boolean {
  return version === 2;
}

function makeDirectory({ directory: parent, controllers }: CgroupPlace, name: string): string {
  const directory = join(parent, name);
  mkdirSync(directory);
  if (!controllers.includes("cpuset")) return directory;
  for (const file of CPUSET_FILES) writeFileSync(join(directory, file), readFileSync(join(parent, file)));
  return directory;
}

/** Documentation/admin-guide/cgroup-v1/devices.rst: one rule at a time, and none that the cgroup above does not have. */
function writeRules({ version }: CgroupPlace, directory: string, rules: readonly DeviceRule[]): void {
  if (version === 2) {
    attachDeviceProgram(directory, rules);
    return;
  }
  const [all, ...others] = rules;
  writeFileSync(join(directory, all?.allow === true ? "devices.allow" : "devices.deny"), "a");
  for (const { type, major, minor, access } of others) {
    try {
      writeFileSync(join(directory, "devices.allow"), `${type ?? "a"} ${major ?? "*"}:${minor ?? "*"} ${access}`);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EPERM") throw error;
    }
  }
}

function removeAbandoned(parent: string): void {
  for (const name of readdirSync(parent)) {
    const [, namespace, pid, start] = NAME.exec(name) ?? [];
    // Of other namespaces it can't be told whether their process lives.
    if (namespace === undefined || namespace !== processNamespace() || startTime(Number(pid)) === start) continue;
    try {
      removeTree(join(parent, name));
    } catch {
      // Processes of it live on, or another one removed it.
    }
  }
}

async function removeWhenEmpty(directory: string): Promise<void> {
  for (const pause of REMOVAL_PAUSES) {
    if (pause > 0) await setTimeout(pause);
    try {
      removeTree(directory);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    }
  }
}

/** A process can make cgroups beneath its own. Files in them are not there to be removed. */
function removeTree(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true }))
    if (entry.isDirectory()) removeTree(join(directory, entry.name));
  rmdirSync(directory);
}

/** The number of this process' PID namespace: namespaces(7). */
function processNamespace(): string | undefined {
  return /\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0];
}

/** When a process started, in ticks since the machine did; undefined where there is none: proc_pid_stat(5). */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}
