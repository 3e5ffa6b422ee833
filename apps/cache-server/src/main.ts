import { parseArgs, type ParseArgsConfig } from "node:util";
import { join } from "node:path";
import { nearest } from "@varve/dockerfile";
import { CodedError } from "@varve/oci";
import { HELP } from "./commands/help.ts";
import { ServerError } from "./errors.ts";
import { type GivenSettings, parseText, readSettings } from "./settings.ts";
import { SETTINGS_SCHEMA } from "./settings-schema.ts";
import { VERSION } from "./version.ts";

/** Runs the command line and sets the exit code: 0 done, 1 failed, 2 wrong usage. */
export async function main(argv: readonly string[]): Promise<void> {
  try {
    process.exitCode = await run(argv);
  } catch (error) {
    process.stderr.write(`${formatError(error)}\n`);
    process.exitCode = isUsage(error) ? 2 : 1;
  }
}

function isUsage(error: unknown): boolean {
  return error instanceof ServerError && (error.code === "SERVER_USAGE" || error.code === "SETTINGS_INVALID");
}

function formatError(error: unknown): string {
  if (!(error instanceof CodedError))
    return `error: ${error instanceof Error ? error.stack : String(error)}\nThis is a mistake in varve-cache: please report it.`;
  const hint = error.hint === undefined ? "" : `\nhint: ${error.hint}`;
  return `error ${error.code}: ${error.message}${hint}`;
}

async function run(argv: readonly string[]): Promise<number> {
  const [word, ...rest] = argv;
  switch (word) {
    case "help":
    case "--help":
    case "-h":
      return print(HELP);
    case "version":
    case "--version":
      return print(`varve-cache ${VERSION}\n`);
    case "schema":
      return print(`${JSON.stringify(SETTINGS_SCHEMA, undefined, 2)}\n`);
    case "token":
      return runToken(rest);
    case "purge":
      return runPurge(rest);
    case "key":
      return runKey(rest);
    case "serve":
      return runServe(rest);
    case undefined:
    default:
      return word === undefined || word.startsWith("-") ? runServe(argv) : refuse("command", word, COMMANDS);
  }
}

const COMMANDS = ["serve", "token", "purge", "key", "schema", "help", "version"];

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

type Flags = NonNullable<ParseArgsConfig["options"]>;

interface ParsedFlags {
  readonly values: Readonly<Record<string, string | boolean | undefined>>;
  readonly positionals: readonly string[];
}

/** @throws ServerError `SERVER_USAGE`, with the nearest flag for one that is unknown. */
function parse(argv: readonly string[], options: Flags): ParsedFlags {
  for (const word of argv) {
    const name = /^--([^=]+)/.exec(word)?.[1];
    if (name !== undefined && !Object.hasOwn(options, name))
      refuse(
        "flag",
        `--${name}`,
        Object.keys(options).map((each) => `--${each}`),
      );
  }
  try {
    return parseArgs({ args: [...argv], options, allowPositionals: true }) as ParsedFlags;
  } catch (cause) {
    throw new ServerError("SERVER_USAGE", `Cannot parse the command line: ${(cause as Error).message}`, { cause });
  }
}

function refuse(kind: string, word: string, known: readonly string[]): never {
  const near = nearest(word, known);
  throw new ServerError("SERVER_USAGE", `Cannot run: there is no ${kind} "${word}"`, {
    hint: near === undefined ? "See varve-cache help" : `Did you mean ${near}?`,
  });
}

/** Flags of `serve`: every setting in words with hyphens. */
const SETTING_FLAGS: ReadonlyMap<string, string> = new Map(
  Object.keys(SETTINGS_SCHEMA.properties)
    .filter((name) => name !== "$schema")
    .map((name) => [name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`), name]),
);

async function runServe(argv: readonly string[]): Promise<number> {
  const names = [...SETTING_FLAGS.keys(), "config"];
  const { values, positionals } = parse(argv, Object.fromEntries(names.map((name) => [name, { type: "string" }])));
  if (positionals[0] !== undefined) return refuse("command", positionals[0], COMMANDS);
  const { config, ...flags } = values;
  const given: GivenSettings = Object.fromEntries(
    Object.entries(flags).map(([flag, value]) => {
      const name = SETTING_FLAGS.get(flag) ?? flag;
      return [name, parseText(name, String(value))];
    }),
  );
  const { serve } = await import("./commands/serve.ts");
  return serve(config === undefined ? undefined : String(config), given);
}

const DATA: Flags = { data: { type: "string" }, config: { type: "string" } };

/** The directory of the server that a command is about: as the server itself finds it. */
function dataOf({ values }: ParsedFlags): string {
  const flags = values["data"] === undefined ? {} : { data: values["data"] };
  return readSettings({ file: text(values["config"]), env: process.env, flags }).data;
}

function text(value: string | boolean | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}

async function runToken([word = "", ...rest]: readonly string[]): Promise<number> {
  const { createToken, listTokens, revokeTokens } = await import("./commands/token.ts");
  switch (word) {
    case "create": {
      const flag = { type: "string" } as const;
      const isSet = { type: "boolean" } as const;
      const options = { ...DATA, name: flag, lane: flag, read: flag, expires: flag, admin: isSet, replace: isSet };
      const parsed = parse(rest, options);
      const { name, lane, read, expires, admin, replace } = parsed.values;
      if (text(name) === undefined)
        throw new ServerError(
          "SERVER_USAGE",
          "Cannot create a token: it has no name; wanted --name, for logs and records",
        );
      return createToken({
        data: dataOf(parsed),
        name: text(name) ?? "",
        lane: text(lane),
        read: text(read)?.split(",") ?? [],
        expires: text(expires),
        admin: admin === true,
        replace: replace === true,
      });
    }
    case "list": {
      const parsed = parse(rest, { ...DATA, json: { type: "boolean" } });
      return listTokens(dataOf(parsed), parsed.values["json"] === true ? "json" : "table");
    }
    case "revoke": {
      const parsed = parse(rest, DATA);
      return revokeTokens(dataOf(parsed), parsed.positionals);
    }
    default:
      return refuse("command", `token ${word}`, ["token create", "token list", "token revoke"]);
  }
}

async function runPurge(argv: readonly string[]): Promise<number> {
  const names = ["server", "written-by", "lane", "key", "producer", "since", "before"];
  const parsed = parse(argv, {
    ...DATA,
    ...Object.fromEntries(names.map((name) => [name, { type: "string" }])),
  });
  const { values } = parsed;
  const { purge } = await import("./commands/purge.ts");
  return purge({
    data: dataOf(parsed),
    server: text(values["server"]),
    token: process.env["VARVE_CACHE_TOKEN"],
    writtenBy: text(values["written-by"]),
    lane: text(values["lane"]),
    key: text(values["key"]),
    producer: text(values["producer"]),
    since: text(values["since"]),
    before: text(values["before"]),
  });
}

async function runKey([word = "", ...rest]: readonly string[]): Promise<number> {
  if (word !== "rotate") return refuse("command", `key ${word}`, ["key rotate"]);
  const { rotateSigningKey } = await import("./trust/signing-keys.ts");
  return print(`${await rotateSigningKey(join(dataOf(parse(rest, DATA)), "keys.json"))}\n`);
}
