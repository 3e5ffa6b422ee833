import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** Puts this process, with all its threads and those that it starts from now on, into a cgroup: cgroups(7), "cgroup.procs". */
export function enterCgroup(directory: string): void {
  writeFileSync(join(directory, "cgroup.procs"), "0");
}
