import type { RunCommand, Runner, RunOptions } from "../runner.ts";
import { writeHostFiles } from "./host-files.ts";
import { createMountPoints, makeMountPoints } from "./mount-points.ts";
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

/** Runs processes in namespaces that the program `unshare` makes; mounts and privileges are left to varve's own init. */
export function createUnshareRunner(program: string): Runner {
  const pool = createInitPool(program);
  return {
    name: "unshare",
    prepare: () => pool.prepare(),
    run: async (command, options) => run({ program, pool }, fitToNamespace(command), options),
  };
}

interface Programs {
  readonly program: string;
  readonly pool: InitPool;
}

async function run(
  { program, pool }: Programs,
  command: RunCommand,
  options: RunOptions,
): Promise<{ readonly exitCode: number }> {
  const config = createRuntimeConfig(command, {
    rootfs: options.rootfs,
    hostFiles: writeHostFiles(options.scratch, command),
    userNamespace: inUserNamespace(),
  });
  using points = createMountPoints(options.rootfs);
  makeMountPoints(points, config.mounts);
  const result = options.attachment === undefined ? await pool.run(config, options) : undefined;
  if (result !== undefined) return result;
  const prefix = [program, ...namespaceFlags(config), "--fork", "--"];
  return await runInit({ config, options, prefix, signalled: "children" });
}

function namespaceFlags({ linux }: RuntimeConfig): readonly string[] {
  return linux.namespaces.flatMap(({ type }) => FLAGS[type] ?? []);
}
