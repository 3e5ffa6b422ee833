import { StepError } from "../errors.ts";
import type { RunCommand, Runner, RunOptions } from "../runner.ts";
import { emulateDevices } from "./emulate-devices.ts";
import { emulateMount } from "./emulate-mount.ts";
import { writeHostFiles } from "./host-files.ts";
import { killInRoot } from "./kill-processes.ts";
import { runInit } from "./run-init.ts";
import { createRuntimeConfig } from "./runtime-config.ts";
import { fitToNamespace, inUserNamespace } from "./user-namespace.ts";

/**
 * The last resort, for where no namespace can be made: the process runs in the rootfs as its root directory, and that
 * is all. It shares the machine's processes and network, sees no /proc and no /sys, and what it mounts is emulated:
 * read-only mounts are copied in, others moved or copied in and back, and all is taken away afterwards.
 */
export function createChrootRunner(): Runner {
  return { name: "chroot", run: async (command, options) => run(fitToNamespace(command), options) };
}

async function run(command: RunCommand, options: RunOptions): Promise<{ readonly exitCode: number }> {
  checkCommand(command);
  const { rootfs, scratch } = options;
  const base = createRuntimeConfig(command, {
    rootfs,
    hostFiles: [],
    userNamespace: inUserNamespace(),
    terminal: options.attachment?.terminal === true,
  });
  const config = { ...base, mounts: [], linux: { ...base.linux, namespaces: [] } };
  await using stack = new AsyncDisposableStack();
  emulateDevices(rootfs, command.devices, stack);
  for (const [position, mount] of [...writeHostFiles(scratch, command), ...command.mounts].entries()) {
    const aside = `${scratch}/aside-${position}`;
    await emulateMount(mount, { rootfs, aside, stack });
  }
  return await runInit({ config, options, cgroup: [], prefix: [], afterExit: () => killInRoot(rootfs) });
}

function checkCommand({ network, readonlyRootfs }: RunCommand): void {
  if (readonlyRootfs === true)
    throw new StepError("RUNNER_FAILED", 'Cannot keep the files from being written: runner "chroot" makes no mounts', {
      hint: "Use another runner, or leave out --read-only",
    });
  if (network !== "none") return;
  throw new StepError("RUNNER_FAILED", 'Cannot run without network: runner "chroot" makes no namespaces', {
    hint: "Use another runner, or leave out --network=none",
  });
}
