import { nearest } from "@varve/dockerfile";
import type { Compression } from "@varve/executor";
import { parseOptions } from "./csv.ts";
import { UsageError } from "./errors.ts";
import type { Parsed } from "./flags.ts";

/** Where and how an image goes. */
export interface Output {
  readonly type: "oci" | "docker" | "local" | "tar" | "registry" | "image";
  /** A path; "-" is standard output. */
  readonly dest: string | undefined;
  /** Archives: a tar (default) or a directory. */
  readonly tar: boolean;
  /** Names that stand instead of those of --tag. */
  readonly names: readonly string[];
  readonly push: boolean;
  /** Pushed without tags: other tools put manifests of several machines together by digest. */
  readonly byDigest: boolean;
  /** `type=image`: kept in the store. */
  readonly store: boolean;
  /** Of files: each platform in a directory of its own; undefined: where there are several. */
  readonly platformSplit: boolean | undefined;
  readonly mediaTypes: "oci" | "docker" | undefined;
  readonly compression: Compression | undefined;
  readonly forceCompression: boolean;
  readonly rewriteTimestamp: boolean;
  /** `annotation[-TYPE].KEY` as `[TYPE:]KEY` and value. */
  readonly annotations: readonly (readonly [key: string, value: string])[];
}

const TYPES: readonly Output["type"][] = ["oci", "docker", "local", "tar", "registry", "image"];
const KNOWN = [
  "type",
  "dest",
  "tar",
  "name",
  "push",
  "push-by-digest",
  "store",
  "oci-mediatypes",
  "compression",
  "compression-level",
  "force-compression",
  "rewrite-timestamp",
  "platform-split",
];
/** Of buildx: for what varve does anyway, or has no part of. */
const IGNORED = [
  "unpack",
  "name-canonical",
  "dangling-name-prefix",
  "prefer-nondist-layers",
  "oci-artifact",
  "attestation-prefix",
];

/**
 * The outputs that the flags ask for: `-o`, `--push`, `--load`.
 * @throws UsageError
 */
export function parseOutputs(flags: Parsed): readonly Output[] {
  const outputs = flags.list("output").map(parseOutput);
  if (flags.is("push") && !outputs.some(({ push }) => push)) outputs.push(parseOutput("type=registry"));
  if (flags.is("load") && !outputs.some(isLoad)) outputs.push(parseOutput("type=docker"));
  const streams = outputs.filter(isStreamed);
  if (streams.length > 1) throw new UsageError("Cannot write two outputs to standard output: give dest=FILE");
  if (streams.length === 1 && process.stdout.isTTY)
    throw new UsageError("Cannot write an archive to a terminal", "Give dest=FILE, or redirect the output");
  return outputs;
}

/** True for an output whose bytes go to standard output. */
export function isStreamed({ type, dest, tar }: Output): boolean {
  if (type === "docker") return dest === "-";
  return (type === "tar" || (type === "oci" && tar)) && (dest === undefined || dest === "-");
}

function isLoad({ type, dest }: Output): boolean {
  return type === "docker" && dest === undefined;
}

function parseOutput(text: string): Output {
  if (!text.includes("="))
    return text === "-" ? parseOutput("type=tar,dest=-") : { ...parseOutput("type=local,dest=."), dest: text };
  const options = parseOptions(text);
  const type = TYPES.find((each) => each === options.get("type"));
  if (type === undefined)
    throw new UsageError(
      `Cannot use output "${text}": type "${options.get("type") ?? ""}" is unknown; wanted ${TYPES.join(", ")}`,
    );
  const dest = options.get("dest");
  const tar = isTrue(options.get("tar"), true);
  checkOutput(text, { type, dest, tar, keys: [...options.keys()] });
  return {
    type,
    dest,
    tar,
    names: options.get("name")?.split(",") ?? [],
    push: type === "registry" || isTrue(options.get("push"), false),
    byDigest: isTrue(options.get("push-by-digest"), false),
    store: type === "image" && isTrue(options.get("store"), true),
    platformSplit: options.has("platform-split") ? isTrue(options.get("platform-split"), true) : undefined,
    mediaTypes: mediaTypes(type, options.get("oci-mediatypes")),
    compression: parseCompression(options.get("compression"), options.get("compression-level")),
    forceCompression: isTrue(options.get("force-compression"), false),
    rewriteTimestamp: isTrue(options.get("rewrite-timestamp"), false),
    annotations: [...options]
      .filter(([key]) => key.startsWith("annotation"))
      .map(([key, value]) => [annotationKey(key), value]),
  };
}

interface OutputWords {
  readonly type: Output["type"];
  readonly dest: string | undefined;
  readonly tar: boolean;
  readonly keys: readonly string[];
}

function checkOutput(text: string, { type, dest, tar, keys }: OutputWords): void {
  const known = [...KNOWN, ...IGNORED];
  const unknown = keys.find((key) => !known.includes(key) && !key.startsWith("annotation"));
  if (unknown !== undefined) {
    const near = nearest(unknown, KNOWN);
    throw new UsageError(
      `Cannot use output "${text}": option "${unknown}" is unknown`,
      near === undefined ? `Known are ${KNOWN.join(", ")}` : `Did you mean ${near}?`,
    );
  }
  const isDirectory = type === "local" || (type === "oci" && !tar);
  if (type === "docker" && !tar) throw new UsageError(`Cannot use output "${text}": type docker is always a tar`);
  if (isDirectory && (dest === undefined || dest === ""))
    throw new UsageError(`Cannot use output "${text}": it needs dest=PATH`);
  if (isDirectory && dest === "-")
    throw new UsageError(`Cannot use output "${text}": a directory can't be standard output`);
}

function mediaTypes(type: Output["type"], value: string | undefined): Output["mediaTypes"] {
  if (value !== undefined) return isTrue(value, true) ? "oci" : "docker";
  return type === "docker" ? "docker" : undefined;
}

function annotationKey(key: string): string {
  const match = /^annotation(?:-([a-z-]+))?\.(.+)$/.exec(key);
  if (match === null)
    throw new UsageError(`Cannot use annotation "${key}": wanted annotation.KEY=VALUE or annotation-TYPE.KEY=VALUE`);
  return match[1] === undefined ? (match[2] ?? "") : `${match[1]}:${match[2]}`;
}

/** A layer compression in buildx's words. @throws UsageError */
export function parseCompression(type: string | undefined, level: string | undefined): Compression | undefined {
  if (type === undefined && level === undefined) return undefined;
  const names = { gzip: "gzip", zstd: "zstd", uncompressed: "none" } as const;
  const known = names[(type ?? "gzip") as keyof typeof names];
  if (known === undefined) throw new UsageError(`Cannot use compression "${type}": wanted gzip, zstd or uncompressed`);
  if (level === undefined) return { type: known };
  const most = known === "gzip" ? 9 : 22;
  if (!/^\d+$/.test(level) || Number(level) > most)
    throw new UsageError(`Cannot use compression level "${level}": wanted 0 to ${most} for ${known}`);
  return { type: known, level: Number(level) };
}

function isTrue(value: string | undefined, fallback: boolean): boolean {
  if (value === undefined) return fallback;
  if (["true", "1", ""].includes(value)) return true;
  if (["false", "0"].includes(value)) return false;
  throw new UsageError(`Cannot use "${value}" as a switch: wanted true or false`);
}
