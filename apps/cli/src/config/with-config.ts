import { statSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { BUILD_FLAGS } from "../build-flags.ts";
import { splitCsv } from "../csv.ts";
import { type Parsed, parseFlags } from "../flags.ts";

import { type Config, findConfig, readConfig } from "./find-config.ts";
import { toArguments } from "./options.ts";

/** Variables that stand above a config, as flags stand above them. */
const VARIABLES: Readonly<Record<string, string>> = {
  cache: "VARVE_CACHE_URL",
  "cache-upload": "VARVE_CACHE_UPLOAD",
  progress: "BUILDKIT_PROGRESS",
  store: "VARVE_STORE",
};

/** Flags whose values have names: those of the command line are added, and win where a name is the same. */
const NAMED = ["add-host", "annotation", "build-arg", "build-context", "label", "secret", "ssh", "ulimit"];

/** Where the image goes is one question: an answer on the command line takes the place of the config's. */
const OUTPUTS = ["output", "push", "load"];

/**
 * A command line of `varve build` with the defaults of the project's config beneath it: of `--config FILE`, else of the
 * nearest file at the build context or above it, or at the current directory where no context is given. Paths in a
 * config are relative to its directory. `--config none` reads none. `onConfig` is told which file is used.
 * @throws UsageError for a config that can't be read, and for options that do not exist.
 */
export function withConfig(flags: Parsed, onConfig: (file: string) => void): Parsed {
  const config = chooseConfig(flags);
  if (config === undefined) return flags;
  onConfig(config.file);
  const { context, ...options } = config.options;
  const args = toArguments({ ...options, ...(flags.positionals.length > 0 ? {} : { context }) }, config.placeOf);
  return mergeFlags(flags, withPaths(parseFlags(args, BUILD_FLAGS), dirname(config.file)));
}

function chooseConfig(flags: Parsed): Config | undefined {
  const named = flags.value("config");
  if (named === "none") return undefined;
  if (named !== undefined) return readConfig(resolve(named));
  const [place = "."] = flags.positionals;
  const isDirectory = statSync(place, { throwIfNoEntry: false })?.isDirectory() === true;
  return findConfig(resolve(isDirectory ? place : "."));
}

type Words = Pick<Parsed, "positionals" | "list">;

function mergeFlags(given: Parsed, config: Words): Parsed {
  const toOutputs = OUTPUTS.some((name) => given.list(name).length > 0);
  const isHidden = (name: string): boolean =>
    (process.env[VARIABLES[name] ?? ""] ?? "") !== "" || (toOutputs && OUTPUTS.includes(name));
  const beneath = (name: string): readonly string[] => (isHidden(name) ? [] : config.list(name));
  const list = (name: string): readonly string[] => {
    const own = given.list(name);
    return NAMED.includes(name) ? [...beneath(name), ...own] : own.length > 0 ? own : beneath(name);
  };
  return {
    positionals: given.positionals.length > 0 ? given.positionals : config.positionals,
    list,
    value: (name) => list(name).at(-1),
    is: (name) => list(name).at(-1) === "true",
  };
}

/** The same with paths that are relative to `directory` made relative to the current directory. */
function withPaths(flags: Words, directory: string): Words {
  const toPath = (path: string): string => relative(process.cwd(), resolve(directory, path)) || ".";
  const list = (name: string): readonly string[] => flags.list(name).map((text) => rebase(name, text, toPath));
  return { positionals: flags.positionals.map((place) => rebase("context", place, toPath)), list };
}

type ToPath = (path: string) => string;

function rebase(name: string, text: string, toPath: ToPath): string {
  switch (name) {
    case "context":
    case "file":
      return isPlace(text) ? toPath(text) : text;
    case "iidfile":
    case "metadata-file":
    case "store":
      return toPath(text);
    case "build-context":
      return text.replace(/(?<==).*$/s, (place) => (isPlace(place) ? toPath(place) : rebaseUrl(place, toPath)));
    case "cache-from":
      return rebaseOptions(text, ["src"], toPath);
    case "secret":
      return rebaseOptions(text, ["src", "source"], toPath);
    case "cache-to":
      return rebaseOptions(text, ["dest"], toPath);
    case "output":
      if (!text.includes("=")) return text === "-" ? text : toPath(text);
      return rebaseOptions(text, ["dest"], toPath);
    default:
      return text;
  }
}

/** Neither standard input nor a URL. */
function isPlace(text: string): boolean {
  return text !== "-" && !/^[a-z][a-z0-9+.-]*:\/\/|^git@/.test(text);
}

function rebaseUrl(place: string, toPath: ToPath): string {
  return place.replace(/(?<=^(?:oci-layout|docker-archive):\/\/).*$/s, toPath);
}

function rebaseOptions(text: string, keys: readonly string[], toPath: ToPath): string {
  const fields = splitCsv(text).map((field) => {
    const equals = field.indexOf("=");
    const value = field.slice(equals + 1);
    const isPath = equals >= 0 && keys.includes(field.slice(0, equals).toLowerCase()) && value !== "-";
    return isPath ? `${field.slice(0, equals)}=${toPath(value)}` : field;
  });
  return fields.map((field) => (/[",]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field)).join(",");
}
