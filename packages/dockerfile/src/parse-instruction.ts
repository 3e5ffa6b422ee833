import { DockerfileError } from "./errors.ts";
import { parseHeredocStart } from "./find-heredocs.ts";
import type { Command, CopySourceWord, Heredoc, Instruction, KeyValue, RunMountFlag } from "./instruction.ts";
import type { Location } from "./location.ts";
import { nearest } from "./nearest.ts";
import { parseDuration } from "./parse-duration.ts";
import { type FlagKind, type Flags, parseFlags } from "./parse-flags.ts";
import { splitFlags, splitWords } from "./split-words.ts";
import { isSpace, trim } from "./white-space.ts";

/** All instructions of the Dockerfile reference, in upper case. */
export const INSTRUCTIONS: readonly Instruction["kind"][] = [
  "ADD",
  "ARG",
  "CMD",
  "COPY",
  "ENTRYPOINT",
  "ENV",
  "EXPOSE",
  "FROM",
  "HEALTHCHECK",
  "LABEL",
  "MAINTAINER",
  "ONBUILD",
  "RUN",
  "SHELL",
  "STOPSIGNAL",
  "USER",
  "VOLUME",
  "WORKDIR",
];

const COPY_FLAGS = {
  from: "value",
  chown: "value",
  chmod: "value",
  link: "boolean",
  parents: "boolean",
  exclude: "list",
} as const;
const ADD_FLAGS = {
  chown: "value",
  chmod: "value",
  link: "boolean",
  exclude: "list",
  checksum: "value",
  "keep-git-dir": "boolean",
  unpack: "boolean",
} as const;
/** Flags by instruction. */
export const FLAGS: Readonly<Partial<Record<Instruction["kind"], Readonly<Record<string, FlagKind>>>>> = {
  FROM: { platform: "value" },
  RUN: { mount: "list", network: "value", security: "value", device: "list" },
  COPY: COPY_FLAGS,
  ADD: ADD_FLAGS,
  HEALTHCHECK: {
    interval: "value",
    timeout: "value",
    "start-period": "value",
    "start-interval": "value",
    retries: "value",
  },
};
const WITH_HEREDOCS: readonly string[] = ["RUN", "COPY", "ADD"];
/** Instructions that take a JSON array, or words where it is none. */
const WITH_JSON: readonly string[] = [...WITH_HEREDOCS, "CMD", "ENTRYPOINT", "SHELL", "VOLUME"];

const KINDS: ReadonlyMap<string, Instruction["kind"]> = new Map(INSTRUCTIONS.map((kind) => [kind, kind]));

/** One instruction's line taken apart, before its arguments are looked at. */
export interface InstructionLine {
  /** The whole line, without white space at its ends. */
  readonly text: string;
  readonly kind: Instruction["kind"];
  /** As it was written. */
  readonly keyword: string;
  readonly flags: readonly string[];
  readonly rest: string;
}

export interface ParseContext {
  readonly location: Location;
  readonly escape: string;
  /** Gives the text of the heredocs that the line starts. */
  readonly readHeredocs: (line: string) => readonly Heredoc[];
}

/**
 * Splits a line into keyword, flags and the rest.
 * @throws DockerfileError `UNKNOWN_INSTRUCTION`.
 */
export function splitInstruction(text: string, location: Location): InstructionLine {
  const trimmed = trim(text);
  const keyword = /^[^\t\v\f\r ]+/.exec(trimmed)?.[0] ?? "";
  const kind = KINDS.get(keyword.toUpperCase());
  if (kind === undefined) {
    const near = nearest(keyword, INSTRUCTIONS);
    throw new DockerfileError("UNKNOWN_INSTRUCTION", `Cannot parse Dockerfile: unknown instruction: ${keyword}`, {
      location,
      word: keyword,
      hint: near === undefined ? undefined : `Did you mean ${near}?`,
    });
  }
  const { flags, rest } = splitFlags(trimmed.slice(keyword.length));
  return { text: trimmed, kind, keyword, flags, rest: trim(rest) };
}

/** True where the line may start heredocs: those instructions that take them, in shell form. */
export function takesHeredocs({ kind, rest }: InstructionLine): boolean {
  return WITH_HEREDOCS.includes(kind) && parseJsonArray(rest) === undefined;
}

/**
 * One instruction of its line.
 * @throws DockerfileError `UNKNOWN_FLAG`, `BAD_FLAG`, `BAD_ARGUMENT`, `SYNTAX`.
 */
export function parseInstruction(line: InstructionLine, context: ParseContext): Instruction {
  const flags = parseFlags(line.flags, FLAGS[line.kind] ?? {}, context.location);
  const { text, kind, keyword } = line;
  const shown = kind === keyword ? text : kind + text.slice(keyword.length);
  const base = { location: context.location, text: shown, keyword };
  return PARSERS[kind]({ ...line, parsed: flags, base, context });
}

interface Parts extends InstructionLine {
  readonly parsed: Flags;
  readonly base: { readonly location: Location; readonly text: string; readonly keyword: string };
  readonly context: ParseContext;
}

type Parser = (parts: Parts) => Instruction;

const PARSERS: Readonly<Record<Instruction["kind"], Parser>> = {
  FROM: parseFrom,
  RUN: parseRun,
  COPY: (parts) => {
    const { parsed, base } = parts;
    return {
      ...base,
      kind: "COPY",
      ...sourcesAndDestination(parts),
      ...copyFlags(parsed),
      ...optional("from", parsed.value("from")),
      parents: parsed.boolean("parents") ?? false,
    };
  },
  ADD: (parts) => {
    const { parsed, base } = parts;
    return {
      ...base,
      kind: "ADD",
      ...sourcesAndDestination(parts),
      ...copyFlags(parsed),
      parents: false,
      ...optional("checksum", parsed.value("checksum")),
      ...optional("keepGitDir", parsed.boolean("keep-git-dir")),
      ...optional("unpack", parsed.boolean("unpack")),
    };
  },
  CMD: (parts) => ({ ...parts.base, kind: "CMD", command: parseCommand(parts.rest, parts) }),
  ENTRYPOINT: (parts) => ({ ...parts.base, kind: "ENTRYPOINT", command: parseCommand(parts.rest, parts) }),
  ENV: (parts) => ({ ...parts.base, kind: "ENV", variables: named(parseKeyValues(parts), parts) }),
  LABEL: (parts) => ({ ...parts.base, kind: "LABEL", labels: parseKeyValues(parts) }),
  ARG: parseArg,
  EXPOSE: (parts) => ({ ...parts.base, kind: "EXPOSE", ports: atLeastOne(fields(parts.rest), parts) }),
  VOLUME: parseVolume,
  USER: (parts) => ({ ...parts.base, kind: "USER", user: exactlyOne(parts) }),
  WORKDIR: (parts) => ({ ...parts.base, kind: "WORKDIR", path: exactlyOne(parts) }),
  MAINTAINER: (parts) => ({ ...parts.base, kind: "MAINTAINER", maintainer: exactlyOne(parts) }),
  STOPSIGNAL: (parts) => ({ ...parts.base, kind: "STOPSIGNAL", signal: exactlyOne(parts) }),
  ONBUILD: parseOnbuild,
  SHELL: parseShell,
  HEALTHCHECK: parseHealthcheck,
};

function optional<Name extends string, Value>(name: Name, value: Value | undefined): { readonly [K in Name]?: Value } {
  return (value === undefined ? {} : { [name]: value }) as { readonly [K in Name]?: Value };
}

/** `word` is what the error is about, where one word of the line is. */
function badArgument(reason: string, { base }: Parts, word?: string): DockerfileError {
  return new DockerfileError("BAD_ARGUMENT", `Cannot parse Dockerfile: ${reason}`, { location: base.location, word });
}

function fields(text: string): readonly string[] {
  const words: string[] = [];
  let start = -1;
  for (let position = 0; position <= text.length; position += 1) {
    const space = position === text.length || isSpace(text[position] ?? "");
    if (!space && start < 0) start = position;
    if (space && start >= 0) {
      words.push(text.slice(start, position));
      start = -1;
    }
  }
  return words;
}

function exactlyOne(parts: Parts): string {
  if (parts.rest !== "") return parts.rest;
  throw badArgument(`${parts.kind} requires exactly one argument`, parts);
}

function atLeastOne<T>(words: readonly T[], parts: Parts): readonly T[] {
  if (words.length > 0) return words;
  throw badArgument(`${parts.kind} requires at least one argument`, parts);
}

/** `text` as a JSON array; undefined where it is none, also where anything stands behind the array: the shell form. */
function parseJsonArray(text: string): readonly unknown[] | undefined {
  const array = trim(text);
  if (!array.startsWith("[") || !array.endsWith("]")) return undefined;
  try {
    const value: unknown = JSON.parse(array);
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function parseStrings(text: string, parts: Parts): readonly string[] | undefined {
  const values = parseJsonArray(text);
  if (values === undefined) return undefined;
  if (values.every((value) => typeof value === "string")) return values;
  throw badArgument("when using JSON array syntax, arrays must be comprised of strings only", parts);
}

function parseCommand(text: string, parts: Parts): Command {
  const args = parseStrings(text, parts);
  return args === undefined ? { form: "shell", script: text, heredocs: [] } : { form: "exec", args };
}

function parseFrom(parts: Parts): Instruction {
  const words = fields(parts.rest);
  const [image = "", as, stageName] = words;
  if (words.length !== 1 && !(words.length === 3 && as?.toUpperCase() === "AS")) {
    throw badArgument("FROM requires either one or three arguments", parts);
  }
  if (stageName !== undefined && !/^[a-z][a-z0-9\-_.]*$/.test(stageName.toLowerCase())) {
    throw badArgument(
      `invalid name for build stage: "${stageName}", name can't start with a number or contain symbols`,
      parts,
      stageName,
    );
  }
  return {
    ...parts.base,
    kind: "FROM",
    image,
    ...optional("platform", parts.parsed.value("platform")),
    ...optional("stageName", stageName),
    ...optional("asKeyword", as),
  };
}

function parseRun(parts: Parts): Instruction {
  const { parsed } = parts;
  const command = parseCommand(parts.rest, parts);
  const heredocs = command.form === "shell" ? parts.context.readHeredocs(parts.rest) : [];
  return {
    ...parts.base,
    kind: "RUN",
    command: command.form === "shell" ? { ...command, heredocs } : command,
    mounts: mountsOf(parsed.list("mount")),
    ...optional("network", parsed.value("network")),
    ...optional("security", parsed.value("security")),
    devices: parsed.list("device"),
  };
}

const NO_MOUNTS: readonly RunMountFlag[] = [];

function mountsOf(flags: readonly string[]): readonly RunMountFlag[] {
  return flags.length === 0 ? NO_MOUNTS : flags.map((raw) => ({ raw, options: splitOptions(raw) }));
}

/** One line of CSV, as Go reads it: fields in quotes may hold commas. */
function splitOptions(raw: string): readonly (readonly [string, string | undefined])[] {
  return splitAtCommas(raw).map((part) => {
    const text = part.replace(/^"(.*)"$/s, "$1").replaceAll('""', '"');
    const equals = text.indexOf("=");
    return equals < 0 ? [text.toLowerCase(), undefined] : [text.slice(0, equals).toLowerCase(), text.slice(equals + 1)];
  });
}

function splitAtCommas(raw: string): readonly string[] {
  const parts: string[] = [];
  let start = 0;
  let quoted = false;
  for (let position = 0; position <= raw.length; position += 1) {
    const character = raw[position];
    if (character === '"') quoted = !quoted;
    if (character !== undefined && (character !== "," || quoted)) continue;
    if (position > start) parts.push(raw.slice(start, position));
    start = position + 1;
  }
  return parts;
}

function copyFlags(flags: Flags): {
  readonly link: boolean;
  readonly exclude: readonly string[];
  readonly chown?: string;
  readonly chmod?: string;
} {
  return {
    link: flags.boolean("link") ?? false,
    exclude: flags.list("exclude"),
    ...optional("chown", flags.value("chown")),
    ...optional("chmod", flags.value("chmod")),
  };
}

function sourcesAndDestination(parts: Parts): {
  readonly sources: readonly CopySourceWord[];
  readonly destination: string;
} {
  const json = parseStrings(parts.rest, parts);
  const words = json ?? fields(parts.rest);
  if (words.length < 2) {
    const count = words.length === 1 ? ", but only one was provided" : "";
    throw badArgument(
      `${parts.kind} requires at least two arguments${count}. Destination could not be determined`,
      parts,
    );
  }
  const heredocs = (json === undefined ? parts.context.readHeredocs(parts.rest) : []).values();
  const destination = words.at(-1) ?? "";
  if (json === undefined && parseHeredocStart(destination) !== undefined)
    throw badArgument(`${parts.kind} cannot accept a heredoc as a destination`, parts);
  const sources = words.slice(0, -1).map((word): CopySourceWord => {
    const heredoc = json === undefined && parseHeredocStart(word) !== undefined ? heredocs.next().value : undefined;
    return heredoc === undefined ? { kind: "word", word } : { kind: "heredoc", heredoc };
  });
  return { sources, destination };
}

function parseKeyValues(parts: Parts): readonly KeyValue[] {
  const words = splitWords(parts.rest, parts.context.escape);
  const [first] = words;
  if (first === undefined) throw badArgument(`${parts.kind} requires at least one argument`, parts);
  if (!first.includes("=")) {
    const old = /^([^\t\v\f\r ]+)[\t\v\f\r ]+(.+)$/s.exec(parts.rest);
    if (old === null) throw badArgument(`${parts.kind} must have two arguments`, parts);
    return [{ key: old[1] ?? "", value: old[2] ?? "", legacy: true }];
  }
  return words.map((word) => {
    const equals = word.indexOf("=");
    if (equals < 0)
      throw badArgument(`Syntax error - can't find = in "${word}". Must be of the form: name=value`, parts, word);
    return { key: word.slice(0, equals), value: word.slice(equals + 1) };
  });
}

function named(pairs: readonly KeyValue[], parts: Parts): readonly KeyValue[] {
  if (pairs.every(({ key }) => key !== "")) return pairs;
  throw badArgument(`${parts.kind} names can not be blank`, parts);
}

function parseArg(parts: Parts): Instruction {
  const words = atLeastOne(splitWords(parts.rest, parts.context.escape), parts);
  const args = words.map((word) => {
    const equals = word.indexOf("=");
    const name = equals < 0 ? word : word.slice(0, equals);
    if (name === "") throw badArgument("ARG names can not be blank", parts);
    return equals < 0 ? { name } : { name, value: word.slice(equals + 1) };
  });
  return { ...parts.base, kind: "ARG", args };
}

function parseVolume(parts: Parts): Instruction {
  const volumes = atLeastOne(parseStrings(parts.rest, parts) ?? fields(parts.rest), parts).map(trim);
  if (volumes.includes("")) throw badArgument("VOLUME specified can not be an empty string", parts);
  return { ...parts.base, kind: "VOLUME", volumes };
}

function parseOnbuild(parts: Parts): Instruction {
  const [first = ""] = atLeastOne(fields(parts.rest), parts);
  const name = first.toUpperCase();
  if (name === "ONBUILD") throw badArgument("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", parts);
  if (name === "MAINTAINER" || name === "FROM")
    throw badArgument(`${name} isn't allowed as an ONBUILD trigger`, parts, first);
  checkTrigger({ ...parts, kind: name as Instruction["kind"], ...splitFlags(parts.rest.slice(first.length)) });
  const heredocs = WITH_HEREDOCS.includes(name) ? parts.context.readHeredocs(parts.rest) : [];
  const bodies = heredocs.map(({ content, name: end }) => `\n${content}${end}`).join("");
  return { ...parts.base, kind: "ONBUILD", trigger: parts.rest + bodies };
}

/** What BuildKit says of a trigger where it stands; all else is found where it runs. */
function checkTrigger(parts: Parts): void {
  const { kind, rest } = parts;
  if (rest === "") return;
  if (kind === "ENV" || kind === "LABEL") parseKeyValues(parts);
  else if (kind === "HEALTHCHECK") parseStrings(rest.replace(/^\S+\s*/, ""), parts);
  else if (WITH_JSON.includes(kind)) parseStrings(rest, parts);
}

function parseShell(parts: Parts): Instruction {
  const shell = parseStrings(parts.rest, parts);
  if (shell === undefined) throw badArgument("SHELL requires the arguments to be in JSON form", parts);
  return { ...parts.base, kind: "SHELL", shell: atLeastOne(shell, parts) };
}

const MINIMUM = 1_000_000;
const MAX_RETRIES = 0x7fff_ffff;

function parseHealthcheck(parts: Parts): Instruction {
  const [, type = "", rest = ""] = /^([^\s]*)\s*(.*)$/s.exec(parts.rest) ?? [];
  if (type === "") throw badArgument("HEALTHCHECK requires at least one argument", parts);
  if (type.toUpperCase() === "NONE") {
    if (rest !== "") throw badArgument("HEALTHCHECK NONE takes no arguments", parts);
    return { ...parts.base, kind: "HEALTHCHECK", test: { type: "NONE" } };
  }
  if (type.toUpperCase() !== "CMD") throw badArgument(`Unknown type "${type}" in HEALTHCHECK (try CMD)`, parts, type);
  const command = parseCommand(rest, parts);
  if (rest === "" || (command.form === "exec" && command.args.length === 0))
    throw badArgument("Missing command after HEALTHCHECK CMD", parts);
  return {
    ...parts.base,
    kind: "HEALTHCHECK",
    test: { type: "CMD", command },
    ...optional("interval", durationFlag("interval", parts)),
    ...optional("timeout", durationFlag("timeout", parts)),
    ...optional("startPeriod", durationFlag("start-period", parts)),
    ...optional("startInterval", durationFlag("start-interval", parts)),
    ...optional("retries", retriesFlag(parts)),
  };
}

function durationFlag(name: string, parts: Parts): number | undefined {
  const text = parts.parsed.value(name);
  if (text === undefined || text === "") return undefined;
  let duration: number;
  try {
    duration = parseDuration(text);
  } catch (cause) {
    throw badArgument((cause as Error).message, parts, `--${name}=${text}`);
  }
  if (duration < 0 || (duration > 0 && duration < MINIMUM))
    throw badArgument(`Interval "${name}" cannot be less than 1ms`, parts, `--${name}=${text}`);
  return duration;
}

function retriesFlag(parts: Parts): number | undefined {
  const text = parts.parsed.value("retries");
  if (text === undefined || text === "") return undefined;
  if (!/^[-+]?\d+$/.test(text) || Math.abs(Number(text)) > MAX_RETRIES)
    throw badArgument(`invalid value "${text}" for --retries: wanted a whole number`, parts, `--retries=${text}`);
  const retries = Number(text);
  if (retries < 0) throw badArgument(`--retries cannot be negative (${retries})`, parts, `--retries=${text}`);
  return retries;
}
