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
  "oci-mediatypes",
  "compression",
  "compression-level",
  "force-compression",
  "rewrite-timestamp",
  "platform-split",
  "unpack",
  "store",
  "name-canonical",
  "dangling-name-prefix",
];

/**
 * The outputs that the flags ask for: `-o`, `--push`, `--load`.
 * @throws UsageError
 */
export function parseOutputs(flags: Parsed): readonly Output[] {
  const outputs = flags.list("output").map(parseOutput);
  if (flags.is("push"))
    outputs.push(
      ...(outputs.some(({ type, push }) => type === "registry" || push) ? [] : [parseOutput("type=registry")]),
    );
  if (flags.is("load"))
    outputs.push(
      ...(outputs.some(({ type, dest }) => type === "docker" && dest === undefined)
        ? []
        : [parseOutput("type=docker")]),
    );
  return outputs;
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
  checkOutput(text, { type, dest, keys: [...options.keys()] });
  return {
    type,
    dest,
    tar: isTrue(options.get("tar"), true),
    names: options.get("name")?.split(",") ?? [],
    push: type === "registry" || isTrue(options.get("push"), false),
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
  readonly keys: readonly string[];
}

function checkOutput(text: string, { type, dest, keys }: OutputWords): void {
  const unknown = keys.find((key) => !KNOWN.includes(key) && !key.startsWith("annotation"));
  if (unknown !== undefined) throw new UsageError(`Cannot use output "${text}": option "${unknown}" is unknown`);
  const needsPath = type === "local" || type === "oci" || type === "tar";
  if (needsPath && dest === undefined)
    throw new UsageError(`Cannot use output "${text}": type ${type} needs dest=PATH`);
  if (type === "local" && dest === "-") {
    throw new UsageError(`Cannot use output "${text}": a directory can't be standard output`);
  }
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
