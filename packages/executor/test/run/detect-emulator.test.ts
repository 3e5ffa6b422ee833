import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { hostPlatform } from "@varve/oci";
import { expect, test } from "vitest";
import { detectEmulator } from "../../src/run/detect-emulator.ts";
import { temporary } from "./sandbox.ts";

/** As the packages qemu-user-static and binfmt-support register them. */
const qemu = {
  "qemu-s390x": `enabled
interpreter /usr/libexec/qemu-binfmt/s390x-binfmt-P
flags: POCF
offset 0
magic 7f454c4602020100000000000000000000020016
mask ffffffffffffff00fffffffffffffffffffeffff
`,
  "qemu-riscv64": `disabled
interpreter /usr/libexec/qemu-binfmt/riscv64-binfmt-P
flags: POCF
offset 0
magic 7f454c460201010000000000000000000200f300
mask ffffffffffffff00fffffffffffffffffeffffff
`,
  jar: `enabled
interpreter /usr/bin/jexec
flags:
offset 0
magic 504b0304
`,
  "python3.11": `enabled
interpreter /usr/bin/python3.11
flags:
extension .py
`,
};

function formats(): string {
  const directory = temporary();
  writeFileSync(join(directory, "status"), "enabled\n");
  for (const [name, text] of Object.entries(qemu)) writeFileSync(join(directory, name), text);
  return directory;
}

test("detectEmulator() knows the machine's own platform", () => {
  expect(detectEmulator(hostPlatform(), formats())).toEqual({ type: "native" });
});

test("detectEmulator() finds an interpreter by what it takes", () => {
  const interpreter = "/usr/libexec/qemu-binfmt/s390x-binfmt-P";
  expect(detectEmulator({ os: "linux", architecture: "s390x" }, formats())).toEqual({ type: "emulated", interpreter });
});

test.each([
  ["linux", "riscv64", "qemu-user-static"],
  ["linux", "ppc64le", "binfmt-support"],
  ["linux", "made-up", "qemu-user-static"],
  ["windows", "amd64", "Only linux"],
])("detectEmulator() says what is missing for %s/%s", (os, architecture, hint) => {
  expect(() => detectEmulator({ os, architecture }, formats())).toThrow(
    expect.objectContaining({ code: "PLATFORM_UNSUPPORTED", hint: expect.stringContaining(hint) }),
  );
});

test("detectEmulator() bears a machine that has no binfmt_misc", () => {
  const absent = join(temporary(), "absent");
  expect(() => detectEmulator({ os: "linux", architecture: "s390x" }, absent)).toThrow("has no emulator");
});
