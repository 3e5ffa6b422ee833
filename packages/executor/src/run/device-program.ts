import type { DeviceRule } from "./device-rules.ts";

/** include/uapi/linux/bpf.h: BPF_DEVCG_DEV_, BPF_DEVCG_ACC_, and where `struct bpf_cgroup_dev_ctx` has what. */
const TYPES: Readonly<Record<"b" | "c", number>> = { b: 1, c: 2 };
const ACCESS: Readonly<Record<string, number>> = { m: 1, r: 2, w: 4 };
const OFFSETS = { access: 0, major: 4, minor: 8 } as const;
/** Operations on 64 bits with a number that stands in the instruction: linux/bpf_common.h. */
const LOAD_WORD = 0x61;
const [MOVE, AND, SHIFT_RIGHT, COPY] = [0xb7, 0x57, 0x77, 0xbf] as const;
const JUMP_UNLESS_EQUAL = 0x55;
const EXIT = 0x95;
const [RESULT, CONTEXT, TYPE, WANTED, MAJOR, MINOR] = [0, 1, 2, 3, 4, 5] as const;
const TYPE_BITS = 0xffff;
const INSTRUCTION_SIZE = 8;

interface Instruction {
  readonly code: number;
  readonly to: number;
  readonly from?: number;
  readonly offset?: number;
  readonly value?: number;
}

/**
 * A BPF program for a cgroup that gives 1 for an access to a device that the rules allow, else 0: Documentation/bpf,
 * BPF_PROG_TYPE_CGROUP_DEVICE. The first rule is for all devices; the others allow. Little-endian.
 */
export function encodeDeviceProgram([all, ...rules]: readonly DeviceRule[]): Buffer {
  const start: readonly Instruction[] = [
    { code: LOAD_WORD, to: TYPE, from: CONTEXT, offset: OFFSETS.access },
    { code: AND, to: TYPE, value: TYPE_BITS },
    { code: LOAD_WORD, to: WANTED, from: CONTEXT, offset: OFFSETS.access },
    { code: SHIFT_RIGHT, to: WANTED, value: 16 },
    { code: LOAD_WORD, to: MAJOR, from: CONTEXT, offset: OFFSETS.major },
    { code: LOAD_WORD, to: MINOR, from: CONTEXT, offset: OFFSETS.minor },
  ];
  return Buffer.concat([...start, ...rules.flatMap(allowing), ...ending(all?.allow === true ? 1 : 0)].map(encode));
}

/** Ends the program with 1 where a rule allows all that is wanted, else goes on after these. */
function allowing({ type, major, minor, access }: DeviceRule): readonly Instruction[] {
  const end = ending(1);
  const bits = [...access].reduce((sum, letter) => sum | (ACCESS[letter] ?? 0), 0);
  const unless = (register: number, value: number | undefined): readonly Instruction[] =>
    value === undefined ? [] : [{ code: JUMP_UNLESS_EQUAL, to: register, value }];
  const tests: readonly Instruction[] = [
    ...unless(TYPE, type === undefined ? undefined : TYPES[type]),
    ...unless(MAJOR, major),
    ...unless(MINOR, minor),
    { code: COPY, to: RESULT, from: WANTED },
    { code: AND, to: RESULT, value: ~bits },
    ...unless(RESULT, 0),
  ];
  const length = tests.length + end.length;
  const jumping = tests.map((each, position) =>
    each.code === JUMP_UNLESS_EQUAL ? { ...each, offset: length - position - 1 } : each,
  );
  return [...jumping, ...end];
}

function ending(result: 0 | 1): readonly Instruction[] {
  return [
    { code: MOVE, to: RESULT, value: result },
    { code: EXIT, to: 0 },
  ];
}

function encode({ code, to, from = 0, offset = 0, value = 0 }: Instruction): Buffer {
  const bytes = Buffer.alloc(INSTRUCTION_SIZE);
  bytes.writeUInt8(code, 0);
  bytes.writeUInt8((from << 4) | to, 1);
  bytes.writeInt16LE(offset, 2);
  bytes.writeInt32LE(value, 4);
  return bytes;
}
