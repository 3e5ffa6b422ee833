import { lstatSync, rmSync, statSync, writeFileSync } from "node:fs";
import { mknod } from "@varve/layer";
import { createMountPoints } from "./mount-points.ts";

/** Devices that every process may use. */
const DEVICES: readonly string[] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];
const ANYONE = 0o666;

/**
 * Makes the machine's common devices, and those that are named, in a rootfs, and leaves it to `stack` to take them away.
 * Where no device may be made, empty files stand in for them: what is written to /dev/null is lost in the end.
 */
export function emulateDevices(rootfs: string, named: readonly string[], stack: AsyncDisposableStack): void {
  const points = stack.use(createMountPoints(rootfs));
  points.make("/dev", "directory");
  for (const device of [...DEVICES, ...named]) {
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

/** glibc, sysmacros.h. */
function splitDevice(device: number): { readonly major: number; readonly minor: number } {
  const number = BigInt(device);
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & 0xfffff000n);
  const minor = (number & 0xffn) | ((number >> 12n) & 0xffffff00n);
  return { major: Number(major), minor: Number(minor) };
}
