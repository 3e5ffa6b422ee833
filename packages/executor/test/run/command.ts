import type { RunCommand } from "../../src/runner.ts";

/** A command as plain as can be: root's, in the sandbox, with the machine's network. */
export const COMMAND: RunCommand = {
  args: ["true"],
  env: ["PATH=/bin"],
  workdir: "/",
  uid: 0,
  gid: 0,
  additionalGids: [],
  mounts: [],
  network: "host",
  security: "sandbox",
  devices: [],
  hostname: undefined,
  extraHosts: [],
  ulimits: [],
  shmSize: undefined,
};
