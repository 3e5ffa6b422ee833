import { nearest } from "@varve/dockerfile";
import { OciError, parseReference, type Reference } from "@varve/oci";
import { parseOptions } from "./csv.ts";
import { UsageError } from "./errors.ts";
import type { Parsed } from "./flags.ts";

/** A cache in an OCI registry or layout, as `--cache-from` and `--cache-to` name it. */
export type OciCacheWords = (
  | { readonly type: "registry"; readonly reference: Reference }
  | { readonly type: "local"; readonly path: string; readonly tag: string; readonly digest: string | undefined }
) & {
  readonly text: string;
  /** Undefined: it is only read. */
  readonly mode: "min" | "max" | undefined;
};

/** The caches that a command line names. */
export interface CacheWords {
  /** Where the cache server is. */
  readonly url: string | undefined;
  readonly token: string | undefined;
  /** Public keys of the server that alone are trusted, in base64. */
  readonly verifyKeys: readonly string[];
  readonly upload: Upload;
  /** Ids of cache mounts that travel; `*` names all. */
  readonly mounts: readonly string[];
  readonly others: readonly OciCacheWords[];
  /** Cache forms that varve does not have. */
  readonly unknown: readonly string[];
}

/** What goes to the cache server: nothing, or what can be sent beside the build and in so many milliseconds after it. */
export interface Upload {
  readonly mode: "wait" | "background" | "none";
  readonly limit: number;
}

/** Of buildx, kept by the services that it speaks to. */
const FOREIGN_TYPES = ["gha", "s3", "azblob", "inline"];
/** Of buildx: for what varve does anyway, or has no part of. */
const IGNORED = [
  "oci-mediatypes",
  "image-manifest",
  "compression",
  "compression-level",
  "force-compression",
  "ignore-error",
  "reset",
  "registry.insecure",
];
const KEYS = { from: ["type", "ref", "src", "tag", "digest"], to: ["type", "ref", "dest", "tag", "mode"] } as const;
const BACKGROUND = 60_000;
/** The longest time that a timer takes. */
const NO_LIMIT = 2 ** 31 - 1;

/**
 * `--cache`, `--cache-upload`, `--cache-verify-key`, `--cache-from`, `--cache-to`, and the environment in their place.
 * @throws UsageError
 */
export function parseCaches(flags: Parsed, environment: NodeJS.ProcessEnv = process.env): CacheWords {
  const url = flags.value("cache") ?? environment["VARVE_CACHE_URL"] ?? "";
  const all = [
    ...flags.list("cache-from").map((text) => parseOciCache(text, "from")),
    ...flags.list("cache-to").map((text) => parseOciCache(text, "to")),
  ];
  return {
    url: url === "" ? undefined : parseUrl(url),
    token: environment["VARVE_CACHE_TOKEN"] === "" ? undefined : environment["VARVE_CACHE_TOKEN"],
    verifyKeys: flags.list("cache-verify-key").map(checkKey),
    upload: parseUpload(flags.value("cache-upload") ?? environment["VARVE_CACHE_UPLOAD"] ?? "background"),
    mounts: flags.list("cache-mounts").flatMap((ids) => ids.split(",")),
    others: all.filter((each) => typeof each !== "string"),
    unknown: all.filter((each) => typeof each === "string"),
  };
}

/** The URL of a cache server, as it is remembered. @throws UsageError */
export function parseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && ["http:", "https:"].includes(url.protocol) && url.username === "")
    return text.replace(/\/+$/, "");
  throw new UsageError(
    `Cannot use cache "${text}": wanted the URL of a cache server, such as https://cache.example.com`,
    "A token goes into VARVE_CACHE_TOKEN; a registry is named with --cache-from and --cache-to",
  );
}

function checkKey(text: string): string {
  if (/^[A-Za-z0-9+/]{43}=$/.test(text)) return text;
  throw new UsageError(`Cannot use --cache-verify-key "${text}": wanted 32 bytes in base64`);
}

function parseUpload(text: string): Upload {
  const [, mode, seconds] = /^(wait|background|none)(?:=(\d{1,6}))?$/.exec(text) ?? [];
  if (mode === undefined || (mode === "none" && seconds !== undefined))
    throw new UsageError(`Cannot use --cache-upload "${text}": wanted wait, background or none; wait=SECONDS`);
  const fallback = mode === "wait" ? NO_LIMIT : BACKGROUND;
  const limit = seconds === undefined ? fallback : Math.min(NO_LIMIT, Number(seconds) * 1000);
  return { mode: mode as Upload["mode"], limit };
}

/** One cache; its type alone where varve has no such caches. */
function parseOciCache(text: string, direction: "from" | "to"): OciCacheWords | string {
  const flag = `--cache-${direction}`;
  const options = text.includes("=")
    ? parseOptions(text)
    : new Map([
        ["type", "registry"],
        ["ref", text],
      ]);
  const type = options.get("type") ?? "";
  if (FOREIGN_TYPES.includes(type)) return type;
  checkKeys(text, [...options.keys()], direction);
  const mode = direction === "from" ? undefined : parseMode(text, options.get("mode") ?? "min");
  if (type === "registry") return { type, text, mode, reference: parseRef(text, options.get("ref"), direction) };
  if (type !== "local")
    throw new UsageError(`Cannot use ${flag} "${text}": type "${type}" is unknown; wanted registry or local`);
  const place = direction === "from" ? "src" : "dest";
  const path = options.get(place) ?? "";
  if (path === "") throw new UsageError(`Cannot use ${flag} "${text}": it needs ${place}=DIRECTORY`);
  return { type, text, mode, path, tag: options.get("tag") ?? "latest", digest: options.get("digest") };
}

function checkKeys(text: string, keys: readonly string[], direction: "from" | "to"): void {
  const known: readonly string[] = KEYS[direction];
  const unknown = keys.find((key) => !known.includes(key) && !IGNORED.includes(key));
  if (unknown === undefined) return;
  const near = nearest(unknown, known);
  throw new UsageError(
    `Cannot use --cache-${direction} "${text}": option "${unknown}" is unknown`,
    near === undefined ? `Known are ${known.join(", ")}` : `Did you mean ${near}?`,
  );
}

function parseMode(text: string, mode: string): "min" | "max" {
  if (mode === "min" || mode === "max") return mode;
  throw new UsageError(`Cannot use --cache-to "${text}": mode "${mode}" is unknown; wanted min or max`);
}

function parseRef(text: string, ref: string | undefined, direction: "from" | "to"): Reference {
  try {
    const reference = parseReference(ref ?? "");
    if (direction === "from" || reference.digest === undefined) return reference;
  } catch (error) {
    if (!(error instanceof OciError)) throw error;
  }
  throw new UsageError(`Cannot use --cache-${direction} "${text}": wanted ref=REGISTRY/REPOSITORY[:TAG]`);
}
