import { arch, endianness } from "node:os";
import { OciError } from "./errors.ts";

/** What a manifest's image runs on. Image spec, image-index.md, "platform". */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly "os.version"?: string;
  readonly "os.features"?: readonly string[];
}

/** Other names of architectures, and the variant that some imply, as containerd's platforms package has them. */
const ALIASES: Readonly<Record<string, readonly [architecture: string, variant?: string]>> = {
  x86_64: ["amd64"],
  "x86-64": ["amd64"],
  x64: ["amd64"],
  i386: ["386"],
  i686: ["386"],
  ia32: ["386"],
  aarch64: ["arm64"],
  armhf: ["arm", "v7"],
  armel: ["arm", "v6"],
  mipsel: ["mipsle"],
  ppc64el: ["ppc64le"],
};
const SYSTEMS: Readonly<Record<string, string>> = { macos: "darwin" };
const WORD = /^[A-Za-z0-9_-]+$/;

/**
 * Parses `os/architecture[/variant]`, or an architecture or os alone.
 * @throws OciError `PLATFORM_INVALID`.
 */
export function parsePlatform(text: string): Platform {
  const parts = text.split("/");
  if (parts.length > 3 || parts.some((part) => !WORD.test(part))) throw invalid(text);
  const [first = "", second, variant] = parts;
  if (second !== undefined)
    return normalizePlatform({ os: first, architecture: second, ...(variant === undefined ? {} : { variant }) });
  if (isOperatingSystem(first)) return { ...hostPlatform(), os: first.toLowerCase() };
  if (isArchitecture(first)) return normalizePlatform({ os: "linux", architecture: first });
  throw invalid(text);
}

function invalid(text: string): OciError {
  return new OciError("PLATFORM_INVALID", `Cannot use platform "${text}": wanted os/architecture[/variant]`, {
    hint: "Write for example linux/amd64 or linux/arm/v7",
  });
}

function isOperatingSystem(word: string): boolean {
  return ["linux", "windows", "darwin", "freebsd", "openbsd", "netbsd", "solaris", "plan9", "macos"].includes(
    word.toLowerCase(),
  );
}

function isArchitecture(word: string): boolean {
  const known = [
    "amd64",
    "386",
    "arm",
    "arm64",
    "loong64",
    "mips",
    "mips64",
    "mips64le",
    "mipsle",
    "ppc64",
    "ppc64le",
    "riscv64",
    "s390x",
    "wasm",
  ];
  return known.includes(word.toLowerCase()) || word.toLowerCase() in ALIASES;
}

/** The same platform in the words of the specification: aliases replaced, defaults of variants left out. */
export function normalizePlatform(platform: Platform): Platform {
  const os = platform.os.toLowerCase();
  const word = platform.architecture.toLowerCase();
  const [architecture, implied] = ALIASES[word] ?? [word];
  const variant = normalizeVariant(architecture, platform.variant?.toLowerCase() || implied);
  const { variant: _, ...rest } = platform;
  return { ...rest, os: SYSTEMS[os] ?? os, architecture, ...(variant === undefined ? {} : { variant }) };
}

function normalizeVariant(architecture: string, variant: string | undefined): string | undefined {
  if (architecture === "arm64") return variant === "8" || variant === "v8" ? undefined : variant;
  if (architecture === "amd64") return variant === "v1" ? undefined : variant;
  if (architecture !== "arm") return variant;
  if (variant === undefined) return "v7";
  return /^\d+$/.test(variant) ? `v${variant}` : variant;
}

/** `os/architecture[/variant]`. */
export function formatPlatform({ os, architecture, variant }: Platform): string {
  return variant === undefined ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`;
}

/** What images have to be for, to run on this machine. */
export function hostPlatform(): Platform {
  const machine = arch();
  const architecture = machine === "ppc64" && endianness() === "LE" ? "ppc64le" : machine;
  return normalizePlatform({ os: "linux", architecture });
}

/**
 * The best of `available` for `wanted`: the same one, else the highest older variant, else its 32-bit kin; undefined
 * where none runs. Of equals the first.
 * Attestations (`unknown/unknown`) never match.
 */
export function matchPlatform<T extends { readonly platform?: Platform }>(
  wanted: Platform,
  available: readonly T[],
): T | undefined {
  const target = normalizePlatform(wanted);
  const candidates = available.flatMap((each) => {
    const rank = each.platform === undefined ? undefined : rankPlatform(target, normalizePlatform(each.platform));
    return rank === undefined ? [] : [{ each, rank }];
  });
  return candidates.toSorted((a, b) => a.rank - b.rank)[0]?.each;
}

/** The 32-bit architecture that a 64-bit one runs too, as containerd has it. */
const NARROWER: Readonly<Record<string, string>> = { arm64: "arm", amd64: "386" };

/** 0 for the same platform, higher the older the variant; undefined where it does not run on `target`. */
function rankPlatform(target: Platform, platform: Platform): number | undefined {
  if (target.os !== platform.os || platform.os === "unknown") return undefined;
  if (target.architecture !== platform.architecture)
    return NARROWER[target.architecture] === platform.architecture ? 100 - variantNumber(platform) : undefined;
  if (target.variant === platform.variant) return 0;
  const distance = variantNumber(target) - variantNumber(platform);
  return distance > 0 ? distance : undefined;
}

function variantNumber({ architecture, variant }: Platform): number {
  const fallback = { arm64: 8, amd64: 1, arm: 7 }[architecture as "arm"] ?? 0;
  return variant === undefined ? fallback : Number(/\d+/.exec(variant)?.[0] ?? fallback);
}
