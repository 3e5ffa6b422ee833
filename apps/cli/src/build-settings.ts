import { statSync } from "node:fs";
import { resolve } from "node:path";
import type { SecretSource } from "@varve/executor";
import type { RunDefaults } from "@varve/graph";
import {
  CodedError,
  formatPlatform,
  hostPlatform,
  parsePlatform,
  parseReference,
  type Platform,
  type Reference,
  withDefaultTag,
} from "@varve/oci";
import { parseOptions } from "./csv.ts";
import { UsageError } from "./errors.ts";
import type { Parsed } from "./flags.ts";

const UNITS: Readonly<Record<string, number>> = { "": 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** `--build-arg`: a name alone takes its value from the environment, and counts as not given where that has none. */
export function buildArgs(flags: Parsed): ReadonlyMap<string, string> {
  const pairs = flags.list("build-arg").flatMap((text): (readonly [string, string])[] => {
    const equals = text.indexOf("=");
    if (equals >= 0) return [[text.slice(0, equals), text.slice(equals + 1)]];
    const value = process.env[text];
    return value === undefined ? [] : [[text, value]];
  });
  const epoch = process.env["SOURCE_DATE_EPOCH"];
  const defaults: (readonly [string, string])[] =
    epoch === undefined || epoch === "" ? [] : [["SOURCE_DATE_EPOCH", epoch]];
  return new Map([...defaults, ...pairs]);
}

/** Seconds of SOURCE_DATE_EPOCH, given as a build arg or in the environment. @throws UsageError */
export function epochOf(args: ReadonlyMap<string, string>): number | undefined {
  const text = args.get("SOURCE_DATE_EPOCH");
  if (text === undefined || text === "") return undefined;
  if (/^\d+$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
  throw new UsageError(`Cannot use SOURCE_DATE_EPOCH "${text}": wanted seconds since 1970`);
}

/** `--platform` lists, each once; the machine's where there is none. @throws UsageError */
export function platforms(flags: Parsed): readonly Platform[] {
  const words = flags.list("platform").flatMap((text) => text.split(",").map((word) => word.trim()));
  const named = words
    .filter((word) => word !== "")
    .map((word) => (word === "local" ? hostPlatform() : asUsage(() => parsePlatform(word))));
  const chosen = new Map(named.map((platform) => [formatPlatform(platform), platform]));
  return chosen.size === 0 ? [hostPlatform()] : [...chosen.values()];
}

/** Names that an image is to have, `latest` where they have no tag. @throws UsageError */
export function imageNames(names: readonly string[]): readonly Reference[] {
  return names.map((name) => {
    const reference = asUsage(() => withDefaultTag(parseReference(name)));
    if (reference.digest === undefined) return reference;
    throw new UsageError(`Cannot name an image "${name}": a digest can't be chosen`, "Write REPOSITORY[:TAG]");
  });
}

/** What a command line says wrongly is wrong usage, whoever finds it out. */
function asUsage<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw error instanceof CodedError ? new UsageError(error.message, error.hint) : error;
  }
}

/** `KEY=VALUE` flags as an object. */
export function keyValues(flags: Parsed, name: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    flags.list(name).map((text) => {
      const equals = text.indexOf("=");
      return equals < 0 ? [text, ""] : [text.slice(0, equals), text.slice(equals + 1)];
    }),
  );
}

/** `--secret`. @throws UsageError */
export function secrets(flags: Parsed): ReadonlyMap<string, SecretSource> {
  return new Map(flags.list("secret").map(parseSecret));
}

function parseSecret(text: string): readonly [string, SecretSource] {
  const options = parseOptions(text);
  const id = options.get("id");
  if (id === undefined || id === "")
    throw new UsageError(`Cannot use secret "${text}": it has no id; wanted id=ID,src=FILE or id=ID,env=NAME`);
  const path = options.get("src") ?? options.get("source");
  const type = options.get("type") ?? (path === undefined ? "env" : "file");
  if (type === "env") return [id, { type: "env", name: options.get("env") ?? path ?? id }];
  if (path === undefined) return [id, { type: "file", path: resolve(id) }];
  return [id, { type: "file", path: resolve(path) }];
}

/** `--ssh`: agent sockets by id. @throws UsageError where no agent is named, or what is named is none. */
export function sshAgents(flags: Parsed): ReadonlyMap<string, string> {
  return new Map(flags.list("ssh").map(parseAgent));
}

function parseAgent(text: string): readonly [string, string] {
  const equals = text.indexOf("=");
  const id = equals < 0 ? text : text.slice(0, equals);
  const socket = equals < 0 ? process.env["SSH_AUTH_SOCK"] : text.slice(equals + 1);
  if (socket === undefined || socket === "")
    throw new UsageError(`Cannot use --ssh ${text}: SSH_AUTH_SOCK is not set`, "Start an agent: eval $(ssh-agent)");
  if (statSync(socket, { throwIfNoEntry: false })?.isSocket() !== true)
    throw new UsageError(
      `Cannot use --ssh ${text}: "${socket}" is no agent's socket`,
      "Keys are not read from files: add them to an agent with ssh-add, and give --ssh default",
    );
  return [id === "" ? "default" : id, resolve(socket)];
}

const ENTITLEMENTS = /^(?:security\.insecure|network\.host|device(?:[=.].*)?)$/;

/** `--allow`. @throws UsageError for an entitlement that does not exist. */
export function entitlements(flags: Parsed): ReadonlySet<string> {
  const names = flags.list("allow").flatMap((text) => text.split(","));
  const unknown = names.find((name) => !ENTITLEMENTS.test(name));
  if (unknown !== undefined)
    throw new UsageError(`Cannot allow "${unknown}": wanted security.insecure, network.host or device`);
  return new Set(names);
}

/** Flags that go to all RUN steps. @throws UsageError */
export function runDefaults(flags: Parsed, args: ReadonlyMap<string, string>): RunDefaults {
  const network = flags.value("network") ?? "default";
  if (network !== "default" && network !== "host" && network !== "none")
    throw new UsageError(`Cannot use --network "${network}": wanted host or none`);
  const shm = flags.value("shm-size");
  return {
    network,
    hostname: args.get("BUILDKIT_SANDBOX_HOSTNAME"),
    extraHosts: flags.list("add-host").map(parseHost),
    ulimits: flags.list("ulimit").map(parseUlimit),
    shmSize: shm === undefined ? undefined : parseBytes(shm),
  };
}

function parseHost(text: string): readonly [string, string] {
  const match = /^([^:=]+)[:=](.+)$/.exec(text);
  if (match === null) throw new UsageError(`Cannot use --add-host "${text}": wanted NAME:ADDRESS`);
  const address = (match[2] ?? "").replace(/^\[(.*)\]$/, "$1");
  // Steps share the host's network, so the host is reached by its loopback address.
  return [match[1] ?? "", address === "host-gateway" ? "127.0.0.1" : address];
}

function parseUlimit(text: string): RunDefaults["ulimits"][number] {
  const match = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(text);
  if (match === null) throw new UsageError(`Cannot use --ulimit "${text}": wanted NAME=SOFT[:HARD]`);
  const [, name = "", soft = "", hard = soft] = match;
  return { name, soft: Number(soft), hard: Number(hard) };
}

/** Bytes, or with a unit of 1024: `64m`, `10GB`. @throws UsageError */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([kmgt]?)i?b?$/i.exec(text);
  if (match === null) throw new UsageError(`Cannot use size "${text}": wanted a number of bytes, or with k, m, g or t`);
  return Math.floor(Number(match[1]) * (UNITS[(match[2] ?? "").toLowerCase()] ?? 1));
}
