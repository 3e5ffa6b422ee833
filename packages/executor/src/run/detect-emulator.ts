import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { hostPlatform, type Platform } from "@varve/oci";
import { StepError } from "../errors.ts";

const BINFMT = "/proc/sys/fs/binfmt_misc";
const REGISTER = new Set(["register", "status"]);

/** How ELF files of an architecture begin: class (1: 32 bits, 2: 64), byte order (1: little, 2: big), machine. */
interface Header {
  readonly bits: 1 | 2;
  readonly order: 1 | 2;
  readonly machine: number;
}

/** elf(5), include/uapi/linux/elf-em.h. */
const HEADERS: Readonly<Record<string, Header>> = {
  "386": { bits: 1, order: 1, machine: 3 },
  amd64: { bits: 2, order: 1, machine: 62 },
  arm: { bits: 1, order: 1, machine: 40 },
  arm64: { bits: 2, order: 1, machine: 183 },
  loong64: { bits: 2, order: 1, machine: 258 },
  mips64le: { bits: 2, order: 1, machine: 8 },
  ppc64le: { bits: 2, order: 1, machine: 21 },
  riscv64: { bits: 2, order: 1, machine: 243 },
  s390x: { bits: 2, order: 2, machine: 22 },
};
/** What a kernel runs beside its own. */
const ALSO_NATIVE: Readonly<Record<string, readonly string[]>> = { amd64: ["386"], arm64: ["arm"] };

/** How programs of a platform run here: by the kernel itself, or by an interpreter that it was told of. */
export type Emulation = { readonly type: "native" } | { readonly type: "emulated"; readonly interpreter: string };

/**
 * How programs of `platform` run on this machine: Linux documentation, admin-guide/binfmt-misc. `directory`: where the
 * kernel shows its interpreters.
 * @throws StepError `PLATFORM_UNSUPPORTED` where they do not.
 */
export function detectEmulator(platform: Platform, directory: string = BINFMT): Emulation {
  const host = hostPlatform();
  const { architecture } = platform;
  const isNative =
    architecture === host.architecture || ALSO_NATIVE[host.architecture]?.includes(architecture) === true;
  if (platform.os === "linux" && isNative) return { type: "native" };
  const header = platform.os === "linux" ? HEADERS[architecture] : undefined;
  const interpreter = header === undefined ? undefined : findInterpreter(header, directory);
  if (interpreter !== undefined) return { type: "emulated", interpreter };
  throw unsupported(platform, host);
}

function unsupported({ os, architecture }: Platform, host: Platform): StepError {
  const message = `Cannot run programs of platform "${os}/${architecture}": this machine is ${host.os}/${host.architecture} and has no emulator for it`;
  const hint =
    os === "linux"
      ? "Install the packages qemu-user-static and binfmt-support, or run: docker run --privileged --rm tonistiigi/binfmt --install all"
      : "Only linux images can be built with RUN";
  return new StepError("PLATFORM_UNSUPPORTED", message, { hint });
}

/** The interpreter of the first enabled format that takes such a header. */
function findInterpreter(header: Header, directory: string): string | undefined {
  const bytes = encodeHeader(header);
  return readFormats(directory).find((format) => matches(format, bytes))?.interpreter;
}

interface Format {
  readonly interpreter: string;
  readonly offset: number;
  readonly magic: Buffer;
  readonly mask: Buffer | undefined;
}

function readFormats(directory: string): readonly Format[] {
  return listNames(directory).flatMap((name) => parseFormat(readFileSync(join(directory, name), "utf8")) ?? []);
}

function listNames(directory: string): readonly string[] {
  try {
    return readdirSync(directory).filter((name) => !REGISTER.has(name));
  } catch {
    return [];
  }
}

/** Lines of `word value`, the first one alone: enabled or disabled. */
function parseFormat(text: string): Format | undefined {
  const lines = text.split("\n");
  const values = new Map(lines.map((line) => [line.split(" ")[0] ?? "", line.slice(line.indexOf(" ") + 1)]));
  const [interpreter, magic, mask] = [values.get("interpreter"), values.get("magic"), values.get("mask")];
  if (lines[0] !== "enabled" || interpreter === undefined || magic === undefined) return undefined;
  return {
    interpreter,
    offset: Number(values.get("offset") ?? 0),
    magic: Buffer.from(magic, "hex"),
    mask: mask === undefined ? undefined : Buffer.from(mask, "hex"),
  };
}

function matches({ offset, magic, mask }: Format, bytes: Buffer): boolean {
  return magic.every((byte, position) => {
    const bits = mask?.[position] ?? 0xff;
    return ((bytes[offset + position] ?? 0) & bits) === (byte & bits);
  });
}

/** The first 20 bytes of an executable. */
function encodeHeader({ bits, order, machine }: Header): Buffer {
  const bytes = Buffer.alloc(20);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, bits, order, 1]);
  const executable = 2;
  for (const [value, position] of [
    [executable, 16],
    [machine, 18],
  ] as const) {
    if (order === 1) bytes.writeUInt16LE(value, position);
    else bytes.writeUInt16BE(value, position);
  }
  return bytes;
}
