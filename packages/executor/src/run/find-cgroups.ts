import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The cgroup that this process is in, in one of the machine's hierarchies: cgroups(7). */
export interface CgroupPlace {
  /** 1: a hierarchy with controllers, or a name, of its own; 2: the unified one. */
  readonly version: 1 | 2;
  /** Of version 1: `devices`, `cpuset`, `name=systemd`. */
  readonly controllers: readonly string[];
  /** Its directory in this mount namespace. */
  readonly directory: string;
}

/** This process' cgroups as /proc/self/cgroup and /proc/self/mountinfo tell, in their order, where they are mounted and no other mount hides them. */
export function findCgroups(): readonly CgroupPlace[] {
  const [cgroup, mountinfo] = [readFileSync("/proc/self/cgroup", "utf8"), readFileSync("/proc/self/mountinfo", "utf8")];
  return locateCgroups(cgroup, mountinfo, (directory) => existsSync(join(directory, "cgroup.procs")));
}

/** As `findCgroups`, from the text of the files: cgroups(7), proc_pid_mountinfo(5). `isVisible` tells of a directory whether it shows. */
export function locateCgroups(
  cgroup: string,
  mountinfo: string,
  isVisible: (directory: string) => boolean,
): readonly CgroupPlace[] {
  const mounts = mountinfo.split("\n").map(parseMount);
  return cgroup.split("\n").flatMap((line): readonly CgroupPlace[] => {
    const [, names, path = ""] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (names === undefined) return [];
    const version = names === "" ? 2 : 1;
    const controllers = names === "" ? [] : names.split(",");
    const directory = mounts
      .filter(({ type, options }) =>
        version === 2 ? type === "cgroup2" : type === "cgroup" && controllers.every((each) => options.includes(each)),
      )
      .flatMap(({ root, target }) => placeIn(path, root, target) ?? [])
      .find(isVisible);
    return directory === undefined ? [] : [{ version, controllers, directory }];
  });
}

interface Mount {
  readonly type: string;
  readonly options: readonly string[];
  /** What of the file system shows at `target`. */
  readonly root: string;
  readonly target: string;
}

function parseMount(line: string): Mount {
  const [before = "", after = ""] = line.split(" - ");
  const [, , , root = "", target = ""] = before.split(" ").map(unescape);
  const [type = "", , options = ""] = after.split(" ");
  return { type, options: options.split(","), root, target };
}

/** Space, tab, line feed and backslash stand there as octal numbers. */
function unescape(field: string): string {
  return field.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

/** Where cgroup `path` is in a mount that shows `root`; one outside of the cgroup namespace is nowhere. */
function placeIn(path: string, root: string, target: string): string | undefined {
  if (path.split("/").includes("..")) return undefined;
  const above = root === "/" ? "" : root;
  if (path !== above && !path.startsWith(`${above}/`)) return undefined;
  return `${target}${path.slice(above.length)}`.replace(/\/$/, "");
}
