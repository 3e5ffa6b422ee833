import { nearest } from "@varve/dockerfile";
import { UsageError } from "./errors.ts";

/** A flag of a command. `value` is how its value is called in the help; absent for a switch. */
export interface Flag {
  readonly name: string;
  readonly short?: string;
  readonly value?: string;
  /** May stand more than once. */
  readonly list?: boolean;
  /** Left out of the help. */
  readonly hidden?: boolean;
  readonly description: string;
}

/** A command line after parsing. */
export interface Parsed {
  readonly positionals: readonly string[];
  /** The last value given. */
  value(name: string): string | undefined;
  list(name: string): readonly string[];
  is(name: string): boolean;
}

/**
 * Parses `argv` against `flags`: `--name value`, `--name=value`, `-n value`, `-nvalue`, `-n=value`, `-ab` for two
 * switches, `--switch[=true|false]`, and `--`, behind which all words are positionals.
 * Flags stand before the first positional only, or anywhere.
 * @throws UsageError naming the nearest flag for one that is unknown.
 */
export function parseFlags(
  argv: readonly string[],
  flags: readonly Flag[],
  position: "first" | "anywhere" = "anywhere",
): Parsed {
  const values = new Map<string, string[]>();
  const positionals: string[] = [];
  const pending = [...argv];
  for (let word = pending.shift(); word !== undefined; word = pending.shift()) {
    if (word === "--") positionals.push(...pending.splice(0));
    else if (word === "-" || !word.startsWith("-"))
      positionals.push(word, ...(position === "first" ? pending.splice(0) : []));
    else {
      for (const { flag, inline } of findFlags(word, flags)) {
        const value = flag.value === undefined ? switchValue(flag, inline) : (inline ?? pending.shift());
        if (value === undefined)
          throw new UsageError(`Cannot parse the command line: flag --${flag.name} needs a value (${flag.value})`);
        values.set(flag.name, [...(flag.list === true ? (values.get(flag.name) ?? []) : []), value]);
      }
    }
  }
  return {
    positionals,
    value: (name) => values.get(name)?.at(-1),
    list: (name) => values.get(name) ?? [],
    is: (name) => values.get(name)?.at(-1) === "true",
  };
}

interface FoundFlag {
  readonly flag: Flag;
  readonly inline: string | undefined;
}

function findFlags(word: string, flags: readonly Flag[]): readonly FoundFlag[] {
  if (!word.startsWith("--")) return findShort(word.slice(1), word, flags);
  const equals = word.indexOf("=");
  const name = word.slice(2, equals < 0 ? undefined : equals);
  const flag = flags.find((each) => each.name === name);
  if (flag === undefined) throw unknownFlag(`--${name}`, flags);
  return [{ flag, inline: equals < 0 ? undefined : word.slice(equals + 1) }];
}

/** Letters behind one hyphen: switches, up to the first that takes the rest as its value. */
function findShort(letters: string, word: string, flags: readonly Flag[]): readonly FoundFlag[] {
  const flag = flags.find((each) => each.short === letters[0]);
  if (flag === undefined) throw unknownFlag(word, flags);
  const rest = letters.slice(1);
  if (rest === "") return [{ flag, inline: undefined }];
  if (rest.startsWith("=")) return [{ flag, inline: rest.slice(1) }];
  if (flag.value !== undefined) return [{ flag, inline: rest }];
  return [{ flag, inline: undefined }, ...findShort(rest, word, flags)];
}

function switchValue(flag: Flag, inline: string | undefined): string {
  if (inline === undefined || inline === "true" || inline === "1") return "true";
  if (inline === "false" || inline === "0") return "false";
  throw new UsageError(
    `Cannot parse the command line: flag --${flag.name} is a switch; wanted true or false, not "${inline}"`,
  );
}

function unknownFlag(word: string, flags: readonly Flag[]): UsageError {
  const near = nearest(
    word.replace(/^-+/, ""),
    flags.map((flag) => flag.name),
  );
  return new UsageError(
    `Cannot parse the command line: unknown flag "${word}"`,
    near === undefined ? "See varve help" : `Did you mean --${near}?`,
  );
}
