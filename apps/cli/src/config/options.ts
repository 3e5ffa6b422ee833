import { nearest } from "@varve/dockerfile";
import { BUILD_FLAGS } from "../build-flags.ts";
import { UsageError } from "../errors.ts";
import type { Flag } from "../flags.ts";

/** Flags that choose what a command does rather than how it builds: no options. */
const NOT_OPTIONS: readonly string[] = ["call", "check", "config"];

/** What stands between name and value of flags that an object may give. */
const SEPARATORS: Readonly<Record<string, string>> = {
  "add-host": ":",
  annotation: "=",
  "build-arg": "=",
  "build-context": "=",
  label: "=",
  ulimit: "=",
};

/** An option of a config file or of the JS API: a flag of `varve build` under its name in camelCase. */
export interface Option {
  /** Such as `buildArg`. */
  readonly key: string;
  readonly flag: Flag;
  /** Present where an object of names and values may stand instead of a list. */
  readonly separator: string | undefined;
}

/** All options but `context`, in the order of the flags. */
export const OPTIONS: readonly Option[] = BUILD_FLAGS.filter(({ name }) => !NOT_OPTIONS.includes(name)).map((flag) => ({
  key: camelCase(flag.name),
  flag,
  separator: SEPARATORS[flag.name],
}));

function camelCase(name: string): string {
  return name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** Says where an option was written, for messages: empty, or something like ` of varve.json:3`. */
export type PlaceOf = (key: string) => string;

/**
 * Options as the arguments of `varve build`: `{ tag: ["app:1"], noCache: true, context: "." }` becomes `--tag=app:1`,
 * `--no-cache=true`, `.`. A member that is undefined counts as absent.
 * @throws UsageError for a key that is no option, naming the nearest, and for a value of another type.
 */
export function toArguments(options: Readonly<Record<string, unknown>>, placeOf: PlaceOf = () => ""): string[] {
  const { context, ...rest } = options;
  const given = Object.entries(rest).filter(([, value]) => value !== undefined);
  const args = given.flatMap(([key, value]) => {
    const option = OPTIONS.find((each) => each.key === key);
    if (option === undefined) throw unknownOption(key, placeOf);
    return valuesOf(option, value, placeOf).map((text) => `--${option.flag.name}=${text}`);
  });
  if (context === undefined) return args;
  if (typeof context !== "string") throw wrongType("context", { wanted: "a string", place: placeOf("context") });
  return [...args, "--", context];
}

function unknownOption(key: string, placeOf: PlaceOf): UsageError {
  const flagKey = camelCase(key.replace(/^-+/, ""));
  const near = nearest(flagKey, ["context", ...OPTIONS.map((option) => option.key)]);
  return new UsageError(
    `Cannot use option "${key}"${placeOf(key)}: there is none of that name`,
    near === undefined
      ? "Options are the flags of varve build in camelCase: see varve build --help"
      : `Did you mean "${near}"?`,
  );
}

function valuesOf(option: Option, value: unknown, placeOf: PlaceOf): readonly string[] {
  const { key, flag, separator } = option;
  const fail = (wanted: string): UsageError => wrongType(key, { wanted, place: placeOf(key) });
  if (flag.value === undefined) {
    if (typeof value === "boolean") return [String(value)];
    throw fail("true or false");
  }
  if (isScalar(value)) return [String(value)];
  if (flag.list !== true) throw fail("a string");
  if (Array.isArray(value) && value.every(isScalar)) return value.map(String);
  if (separator === undefined) throw fail("a string or a list of strings");
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw fail("an object of names and values, or a list of strings");
  return Object.entries(value).map(
    ([name, part]) => pairOf(option, name, part) ?? raise(fail(`"${name}" as a string`)),
  );
}

/** A build argument that is null takes its value from the environment, as `--build-arg NAME` does. */
function pairOf({ key, separator = "=" }: Option, name: string, part: unknown): string | undefined {
  if (part === null && key === "buildArg") return name;
  return isScalar(part) || typeof part === "boolean" ? `${name}${separator}${part}` : undefined;
}

function raise(error: Error): never {
  throw error;
}

function isScalar(value: unknown): value is string | number {
  return typeof value === "string" || typeof value === "number";
}

function wrongType(key: string, { wanted, place }: { readonly wanted: string; readonly place: string }): UsageError {
  return new UsageError(`Cannot use option "${key}"${place}: its value has the wrong type; wanted ${wanted}`);
}
