import { lstatSync, rmSync, statSync, writeFileSync } from "node:fs";
import { mknod } from "@varve/layer";
import { COMMON_DEVICES, splitDevice } from "./device-rules.ts";
import { createMountPoints } from "./mount-points.ts";

const ANYONE = 0o666;

/**
 * Makes the machine's common devices, and those that are named, in a rootfs, and leaves it to `stack` to take them away.
 * Where no device may be made, empty files stand in for them: what is written to /dev/null is lost in the end.
 */
export function emulateDevices(rootfs: string, named: readonly string[], stack: AsyncDisposableStack): void {
  const points = stack.use(createMountPoints(rootfs));
  points.make("/dev", "directory");
  for (const device of [...COMMON_DEVICES.map(({ name }) => `/dev/${name}`), ...named]) {
    const parent = device.slice(0, device.lastIndexOf("/"));
    const path = `${points.make(parent, "directory")}${device.slice(parent.length)}`;
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) continue;
    makeDevice(path, device);
    stack.defer(() => rmSync(path, { force: true }));
  }
}

function makeDevice(path: string, device: string): void {
  const { mode, rdev } = statSync(device);
  try {
    mknod(path, (mode & ~0o7777) | ANYONE, splitDevice(rdev));
  } catch {
    writeFileSync(path, "", { mode: ANYONE });
  }
}
