import { expect, test } from "vitest";
import { createRuntimeConfig, encodeRuntimeConfig, toResourceLimit } from "../../src/run/runtime-config.ts";
import { COMMAND } from "./command.ts";

const options = { rootfs: "/r", hostFiles: [], userNamespace: false };

test.each([
  ["host", ["pid", "ipc", "uts", "mount"]],
  ["none", ["pid", "ipc", "uts", "mount", "network"]],
] as const)("createRuntimeConfig() makes namespaces for network %s", (network, names) => {
  const { linux } = createRuntimeConfig({ ...COMMAND, network }, options);
  expect(linux.namespaces.map(({ type }) => type)).toEqual(names);
});

test("createRuntimeConfig() protects the machine, unless it is told not to", () => {
  const sandbox = createRuntimeConfig(COMMAND, options);
  expect(sandbox.linux.maskedPaths).toContain("/proc/kcore");
  expect(sandbox.linux.readonlyPaths).toContain("/proc/sys");
  expect(sandbox.linux.resources.devices[0]).toEqual({ allow: false, access: "rwm" });
  expect(sandbox.linux.resources.devices).toContainEqual({ allow: true, type: "c", major: 1, minor: 3, access: "rwm" });
  expect(sandbox.process.capabilities.bounding).not.toContain("CAP_SYS_ADMIN");
  const insecure = createRuntimeConfig({ ...COMMAND, security: "insecure" }, options);
  expect(insecure.linux.maskedPaths).toBeUndefined();
  expect(insecure.linux.resources.devices).toEqual([{ allow: true, access: "rwm" }]);
  expect(insecure.process.capabilities.bounding).toContain("CAP_SYS_ADMIN");
});

test("createRuntimeConfig() makes no sysfs and names no group in a user namespace", () => {
  const { mounts } = createRuntimeConfig(COMMAND, { ...options, userNamespace: true });
  expect(mounts.find(({ destination }) => destination === "/sys")).toMatchObject({ type: "bind", source: "/sys" });
  expect(mounts.flatMap((mount) => mount.options)).not.toContain("gid=5");
});

test("createRuntimeConfig() mounts in order: the system's, the host's files, devices, the command's", () => {
  const mounts = [{ type: "tmpfs", target: "/t", size: 10 }] as const;
  const hostFiles = [{ type: "bind", source: "/s/hosts", target: "/etc/hosts", readonly: true }] as const;
  const config = createRuntimeConfig({ ...COMMAND, mounts, devices: ["/dev/fuse"] }, { ...options, hostFiles });
  expect(config.mounts.slice(-3)).toEqual([
    { destination: "/etc/hosts", type: "bind", source: "/s/hosts", options: ["rbind", "ro", "nodev"] },
    { destination: "/dev/fuse", type: "bind", source: "/dev/fuse", options: ["rbind", "rw"] },
    { destination: "/t", type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", "mode=1777", "size=10"] },
  ]);
});

test("encodeRuntimeConfig() writes limits that JavaScript's numbers can't hold", () => {
  const ulimits = [{ name: "nofile", soft: 1024, hard: -1 }];
  const text = encodeRuntimeConfig(createRuntimeConfig({ ...COMMAND, ulimits }, options));
  expect(text).toContain('"rlimits":[{"type":"RLIMIT_NOFILE","soft":1024,"hard":18446744073709551615}]');
  const { hard } = (JSON.parse(text) as ReturnType<typeof createRuntimeConfig>).process.rlimits[0] ?? {};
  expect(toResourceLimit(hard ?? 0)).toBe(2n ** 64n - 1n);
  expect(toResourceLimit(1024)).toBe(1024n);
});
