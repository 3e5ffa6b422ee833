import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type DeviceRule, deviceRules, splitDevice } from "../../src/run/device-rules.ts";
import { temporary } from "./sandbox.ts";

/** What a process in the sandbox can use beyond the usual. */
const added = (...devices: readonly string[]): readonly DeviceRule[] =>
  deviceRules({ security: "sandbox", devices }).slice(deviceRules({ security: "sandbox", devices: [] }).length);

const FULL = { allow: true, type: "c", major: 1, minor: 7, access: "rwm" } as const;

test("deviceRules() allows the devices that are named, and all those in a directory", () => {
  const directory = temporary();
  mkdirSync(join(directory, "deep"));
  symlinkSync("/dev/full", join(directory, "deep", "device"));
  writeFileSync(join(directory, "file"), "");
  expect(added("/dev/full")).toEqual([FULL]);
  expect(added(directory)).toEqual([FULL]);
  expect(added(join(directory, "file"), join(directory, "absent"))).toEqual([]);
});

test("deviceRules() forbids all others, unless the process is insecure", () => {
  expect(deviceRules({ security: "sandbox", devices: [] })[0]).toEqual({ allow: false, access: "rwm" });
  expect(deviceRules({ security: "insecure", devices: ["/dev/full"] })).toEqual([{ allow: true, access: "rwm" }]);
});

test.each([
  [0x0103, 1, 3],
  [0xfe00, 254, 0],
  [0x1_23_45_67, 0x345, 0x1267],
])("splitDevice() takes %d apart", (device, major, minor) => {
  expect(splitDevice(device)).toEqual({ major, minor });
});
