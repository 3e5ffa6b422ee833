import { DockerfileError } from "./errors.ts";
import type { Location } from "./location.ts";
import { nearest } from "./nearest.ts";

/** What a flag takes: a value, several values, or true and false. */
export type FlagKind = "value" | "list" | "boolean";

/** An instruction's flags after parsing. */
export interface Flags {
  value(name: string): string | undefined;
  list(name: string): readonly string[];
  /** Undefined where the flag is absent. */
  boolean(name: string): boolean | undefined;
}

const NO_VALUES: readonly string[] = [];
const NO_FLAGS: Flags = { value: () => undefined, list: () => NO_VALUES, boolean: () => undefined };

/**
 * Checks `flags` (`--name[=value]`) against what the instruction takes.
 * @throws DockerfileError `UNKNOWN_FLAG`, `BAD_FLAG`.
 */
export function parseFlags(
  flags: readonly string[],
  known: Readonly<Record<string, FlagKind>>,
  location: Location,
): Flags {
  if (flags.length === 0) return NO_FLAGS;
  const values = new Map<string, string[]>();
  for (const flag of flags) {
    const equals = flag.indexOf("=");
    const name = flag.slice(2, equals < 0 ? undefined : equals);
    const kind = Object.hasOwn(known, name) ? known[name] : undefined;
    if (kind === undefined) throw unknownFlag(name, known, location);
    const value = flagValue(flag, { name, kind, location });
    const before = values.get(name);
    if (before !== undefined && kind !== "list")
      throw bad(`duplicate flag specified: --${name}`, location, `--${name}`);
    if (before === undefined) values.set(name, [value]);
    else before.push(value);
  }
  return {
    value: (name) => values.get(name)?.[0],
    list: (name) => values.get(name) ?? [],
    boolean: (name) => (values.has(name) ? values.get(name)?.[0] === "true" : undefined),
  };
}

function flagValue(
  flag: string,
  { name, kind, location }: { readonly name: string; readonly kind: FlagKind; readonly location: Location },
): string {
  const equals = flag.indexOf("=");
  const value = equals < 0 ? undefined : flag.slice(equals + 1);
  if (kind !== "boolean") {
    if (value === undefined) throw bad(`missing a value on flag: --${name}`, location, flag);
    return value;
  }
  const lower = (value ?? "true").toLowerCase();
  if (lower === "true" || lower === "false") return lower;
  throw bad(`expecting boolean value for flag --${name}, not: ${value}`, location, flag);
}

function unknownFlag(name: string, known: Readonly<Record<string, FlagKind>>, location: Location): DockerfileError {
  const near = nearest(name, Object.keys(known));
  return new DockerfileError("UNKNOWN_FLAG", `Cannot parse Dockerfile: unknown flag: --${name}`, {
    location,
    word: `--${name}`,
    hint: near === undefined ? undefined : `Did you mean --${near}?`,
  });
}

function bad(reason: string, location: Location, word: string): DockerfileError {
  return new DockerfileError("BAD_FLAG", `Cannot parse Dockerfile: ${reason}`, { location, word });
}
