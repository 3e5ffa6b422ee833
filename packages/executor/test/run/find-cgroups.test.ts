import { expect, test } from "vitest";
import { locateCgroups } from "../../src/run/find-cgroups.ts";

const UNIFIED = "24 23 0:28 ROOT TARGET rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
const unified = (root: string, target: string): string => UNIFIED.replace("ROOT", root).replace("TARGET", target);

test.each([
  ["the machine's", "0::/a/b", unified("/", "/sys/fs/cgroup"), ["/sys/fs/cgroup/a/b"]],
  ["the root", "0::/", unified("/", "/sys/fs/cgroup"), ["/sys/fs/cgroup"]],
  ["a container's, whose own is mounted", "0::/docker/1", unified("/docker/1", "/sys/fs/cgroup"), ["/sys/fs/cgroup"]],
  ["one beneath it", "0::/docker/1/x", unified("/docker/1", "/c"), ["/c/x"]],
  ["one that is not in what is mounted", "0::/docker/12", unified("/docker/1", "/c"), []],
  ["one outside of the cgroup namespace", "0::/../other", unified("/", "/c"), []],
  ["a mount with a space in its path", "0::/a", unified("/", "/with\\040space"), ["/with space/a"]],
  ["the mount that shows it, of several", "0::/a", `${unified("/b", "/1")}\n${unified("/a", "/2")}`, ["/2"]],
  ["the mount that no other hides", "0::/", `${unified("/", "/hidden")}\n${unified("/", "/c")}`, ["/c"]],
  ["none that is mounted", "0::/a", "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw", []],
])("locateCgroups() finds %s", (_, cgroup, mountinfo, directories) => {
  expect(locateCgroups(`${cgroup}\n`, `${mountinfo}\n`, (directory) => directory !== "/hidden")).toEqual(
    directories.map((directory) => ({ version: 2, controllers: [], directory })),
  );
});

test("locateCgroups() tells the hierarchies of version 1 apart by their controllers", () => {
  const cgroup = "12:cpu,cpuacct:/x\n5:devices:/y\n1:name=systemd:/z\n0::/u\n";
  const mountinfo = [
    "32 31 0:29 / /c/cpu rw shared:1 - cgroup cgroup rw,cpu,cpuacct",
    "33 31 0:30 / /c/devices rw - cgroup cgroup rw,devices",
    "34 31 0:31 / /c/systemd rw - cgroup cgroup rw,xattr,name=systemd",
    unified("/", "/c/unified"),
  ].join("\n");
  expect(locateCgroups(cgroup, mountinfo, () => true)).toEqual([
    { version: 1, controllers: ["cpu", "cpuacct"], directory: "/c/cpu/x" },
    { version: 1, controllers: ["devices"], directory: "/c/devices/y" },
    { version: 1, controllers: ["name=systemd"], directory: "/c/systemd/z" },
    { version: 2, controllers: [], directory: "/c/unified/u" },
  ]);
});
