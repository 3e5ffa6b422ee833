import { type DeviceCgroup, makeDeviceCgroup } from "./device-cgroup.ts";
import { allowsAllDevices, type DeviceRule } from "./device-rules.ts";
import { inUserNamespace } from "./user-namespace.ts";

/** The cgroups that hold a runner's processes to devices: one for all processes with the same rules. */
export interface DeviceCgroups extends AsyncDisposable {
  /**
   * The directories of the cgroup for processes with these rules, the same array each time; the cgroup is made when it is
   * first asked for. None where the rules allow all devices, and where no cgroup can be made.
   */
  directoriesFor(rules: readonly DeviceRule[]): readonly string[];
  /** Why none could be made for these rules; undefined where one could. */
  problemWith(rules: readonly DeviceRule[]): string | undefined;
}

const NONE: readonly string[] = [];

type Made = DeviceCgroup | { readonly problem: string };

/** No cgroup yet; `make` makes them. Disposal removes them: processes in them must have ended. */
export function createDeviceCgroups(make: typeof makeDeviceCgroup = makeDeviceCgroup): DeviceCgroups {
  const made = new Map<string, Made>();
  const find = (rules: readonly DeviceRule[]): Made => {
    const key = JSON.stringify(rules);
    const found = made.get(key) ?? tryToMake(rules, make);
    made.set(key, found);
    return found;
  };
  return {
    directoriesFor(rules) {
      const found = allowsAllDevices(rules) ? undefined : find(rules);
      return found !== undefined && "directories" in found ? found.directories : NONE;
    },
    problemWith(rules) {
      const found = find(rules);
      return "problem" in found ? found.problem : undefined;
    },
    async [Symbol.asyncDispose]() {
      const cgroups = [...made.values()].flatMap((each) => ("remove" in each ? each : []));
      made.clear();
      await Promise.all(cgroups.map((each) => each.remove()));
    },
  };
}

/** Root of a user namespace has no devices to be kept from, and may not make such a cgroup. */
function tryToMake(rules: readonly DeviceRule[], make: typeof makeDeviceCgroup): Made {
  if (inUserNamespace()) return { problem: "this is a user namespace" };
  try {
    return make(rules);
  } catch (error) {
    return { problem: (error as Error).message };
  }
}
