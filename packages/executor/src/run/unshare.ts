import type { RunCommand, Runner, RunOptions } from "../runner.ts";
import { writeHostFiles } from "./host-files.ts";
import { createMountPoints, makeMountPoints } from "./mount-points.ts";
import { createDeviceCgroups, type DeviceCgroups } from "./device-cgroups.ts";
import { deviceRules } from "./device-rules.ts";
import { createInitPool, type InitPool } from "./init-pool.ts";
import { runInit } from "./run-init.ts";
import { createRuntimeConfig, type RuntimeConfig } from "./runtime-config.ts";
import { fitToNamespace, inUserNamespace } from "./user-namespace.ts";

/** Flags of util-linux's and busybox's unshare, by the runtime spec's names of namespaces. */
const FLAGS: Readonly<Record<string, string>> = {
  pid: "--pid",
  ipc: "--ipc",
  uts: "--uts",
  mount: "--mount",
  network: "--net",
};

/** The rules for a process in the sandbox that is given no devices. */
export const USUAL_RULES: ReturnType<typeof deviceRules> = deviceRules({ security: "sandbox", devices: [] });

/**
 * Runs processes in namespaces that the program `unshare` makes; mounts and privileges are left to varve's own init. The
 * processes are in one of `cgroups`; without one, no device works that they make.
 */
export function createUnshareRunner(program: string, cgroups: DeviceCgroups = createDeviceCgroups()): Runner {
  const pool = createInitPool(program);
  return {
    name: "unshare",
    prepare: () => pool.prepare(cgroups.directoriesFor(USUAL_RULES)),
    run: async (command, options) => run({ program, pool, cgroups }, fitToNamespace(command), options),
    async close() {
      await pool[Symbol.asyncDispose]();
      await cgroups[Symbol.asyncDispose]();
    },
  };
}

interface Programs {
  readonly program: string;
  readonly pool: InitPool;
  readonly cgroups: DeviceCgroups;
}

async function run(
  { program, pool, cgroups }: Programs,
  command: RunCommand,
  options: RunOptions,
): Promise<{ readonly exitCode: number }> {
  const config = createRuntimeConfig(command, {
    rootfs: options.rootfs,
    hostFiles: writeHostFiles(options.scratch, command),
    userNamespace: inUserNamespace(),
    terminal: options.attachment?.terminal === true,
  });
  const cgroup = cgroups.directoriesFor(config.linux.resources.devices);
  using points = createMountPoints(options.rootfs);
  makeMountPoints(points, config.mounts);
  const result = options.attachment === undefined ? await pool.run(config, { ...options, cgroup }) : undefined;
  if (result !== undefined) return result;
  const prefix = [program, ...namespaceFlags(config), "--fork", "--"];
  return await runInit({ config, options, cgroup, prefix, signalled: "children" });
}

function namespaceFlags({ linux }: RuntimeConfig): readonly string[] {
  return linux.namespaces.flatMap(({ type }) => FLAGS[type] ?? []);
}
