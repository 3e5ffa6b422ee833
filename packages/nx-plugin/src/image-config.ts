import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { isObject, readJson } from "./read-json.ts";

/** What a project's config of varve says that matters here. Paths are from the workspace's root. */
export interface ImageConfigFile {
  /** `varve.json`, or `package.json` with the member `varve`. */
  readonly file: string;
  readonly context: string | undefined;
  readonly target: string | undefined;
  readonly tags: readonly string[];
  readonly buildArgs: ReadonlyMap<string, string>;
  /** Named contexts that are directories. */
  readonly contexts: ReadonlyMap<string, string>;
}

/** The config in `directory`; undefined where there is none. */
export function readImageConfig(workspaceRoot: string, directory: string): ImageConfigFile | undefined {
  const own = join(directory, "varve.json");
  const manifest = readJson(join(workspaceRoot, directory, "package.json"))?.["varve"];
  const found = existsSync(join(workspaceRoot, own))
    ? { file: own, options: readJson(join(workspaceRoot, own)) }
    : { file: join(directory, "package.json"), options: isObject(manifest) ? manifest : undefined };
  const { file, options } = found;
  if (options === undefined) return undefined;
  const { context, target } = options;
  const contexts = pairs(options["buildContext"]).filter(([, place]) => !place.includes("://"));
  return {
    file,
    context: typeof context === "string" ? join(directory, context) : undefined,
    target: typeof target === "string" ? target : undefined,
    tags: [options["tag"]].flat().filter((tag) => typeof tag === "string"),
    buildArgs: new Map(pairs(options["buildArg"])),
    contexts: new Map(contexts.map(([name, path]) => [name.toLowerCase(), join(directory, path)])),
  };
}

/** The config that varve finds by itself: the nearest at `directory` or above it. */
export function nearestConfigFile(workspaceRoot: string, directory: string): string | undefined {
  const found = readImageConfig(workspaceRoot, directory);
  if (found !== undefined) return found.file;
  return directory === "." ? undefined : nearestConfigFile(workspaceRoot, dirname(directory));
}

/** Names and values, of an object or of words `NAME=VALUE`. */
function pairs(value: unknown): readonly (readonly [string, string])[] {
  if (isObject(value))
    return Object.entries(value).flatMap(([name, part]) => (isScalar(part) ? [[name, String(part)] as const] : []));
  return [value].flat().flatMap((text) => {
    const match = typeof text === "string" ? /^([^=]+)=(.*)$/s.exec(text) : null;
    return match === null ? [] : [[match[1] ?? "", match[2] ?? ""] as const];
  });
}

function isScalar(part: unknown): part is string | number | boolean {
  return ["string", "number", "boolean"].includes(typeof part);
}
