import { closeSync, constants, openSync } from "node:fs";
import { createRequire } from "node:module";
import { getSystemErrorMessage } from "node:util";
import { encodeDeviceProgram } from "./device-program.ts";
import type { DeviceRule } from "./device-rules.ts";

/** bpf(2)'s number: asm/unistd.h. */
const SYS_BPF: Readonly<Record<string, number>> = { x64: 321, arm64: 280 };
/** include/uapi/linux/bpf.h. */
const BPF_PROG_LOAD = 5;
const BPF_PROG_ATTACH = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE = 15;
const BPF_CGROUP_DEVICE = 6;
const BPF_F_ALLOW_MULTI = 2;
const INSTRUCTION_SIZE = 8;
const LICENSE = Buffer.from("Apache-2.0\0");

/**
 * Holds the processes of a cgroup of version 2 to the devices that `rules` allow, until it is removed. Programs of the
 * cgroups above go on to hold as well. @throws Error where the kernel does not let this process.
 */
export function attachDeviceProgram(cgroup: string, rules: readonly DeviceRule[]): void {
  const directory = openSync(cgroup, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const program = loadProgram(encodeDeviceProgram(rules));
    try {
      bpf(
        BPF_PROG_ATTACH,
        Buffer.from(Uint32Array.of(directory, program, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI).buffer),
      );
    } finally {
      closeSync(program);
    }
  } finally {
    closeSync(directory);
  }
}

/** An open file that is the program. */
function loadProgram(code: Buffer): number {
  const { koffi } = load();
  const attributes = Buffer.alloc(48);
  attributes.writeUInt32LE(BPF_PROG_TYPE_CGROUP_DEVICE, 0);
  attributes.writeUInt32LE(code.length / INSTRUCTION_SIZE, 4);
  attributes.writeBigUInt64LE(koffi.address(code), 8);
  attributes.writeBigUInt64LE(koffi.address(LICENSE), 16);
  return bpf(BPF_PROG_LOAD, attributes);
}

function bpf(command: number, attributes: Buffer): number {
  const { koffi, call } = load();
  const number = SYS_BPF[process.arch];
  if (number === undefined) throw new Error(`bpf is not known for ${process.arch}`);
  const result = call(number, command, attributes, attributes.length);
  if (result < 0) throw new Error(`bpf: ${getSystemErrorMessage(-koffi.errno())}`);
  return result;
}

interface Library {
  readonly koffi: typeof import("koffi").default;
  readonly call: (number: number, command: number, attributes: Buffer, size: number) => number;
}

let library: Library | undefined;

/** Loaded at the first call only: it takes 9 ms, and a cgroup of version 1 does without. */
function load(): Library {
  if (library !== undefined) return library;
  const koffi = createRequire(import.meta.url)("koffi") as Library["koffi"];
  const call = koffi.load(null).func("long syscall(long number, int command, void *attributes, unsigned int size)");
  library = { koffi, call: call as Library["call"] };
  return library;
}
