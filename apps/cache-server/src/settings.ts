import { readFileSync } from "node:fs";
import { Ajv, type ErrorObject } from "ajv";
import { nearest } from "@varve/dockerfile";
import { ServerError } from "./errors.ts";
import { parseSize } from "./parse-size.ts";
import { SETTINGS_SCHEMA, type SettingsSchema } from "./settings-schema.ts";
import type { Quotas } from "./storage/quotas.ts";
import { expandPreset, type OidcPreset, type OidcRule } from "./trust/oidc-rules.ts";

/** How a server is to run; docs/server.md lists all. Sizes in bytes, times in milliseconds. */
export interface Settings {
  readonly host: string;
  readonly port: number;
  readonly data: string;
  readonly anonymous: "none" | "read" | "write";
  readonly budget: number;
  readonly minFree: number;
  readonly mountBudget: number;
  readonly maxBlob: number;
  readonly quotas: Quotas;
  readonly oidc: readonly OidcRule[];
  /** In PEM. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  readonly rate: number;
  readonly burst: number;
  readonly metricsToken: boolean;
  readonly trustProxy: boolean;
  readonly logLevel: "debug" | "info" | "warn" | "error" | "silent";
  readonly drainTimeout: number;
  readonly bodyTimeout: number;
  readonly uploadLifetime: number;
  readonly useGranularity: number;
  readonly holdNew: number;
}

/** Settings as a file, the environment or flags give them: names and values of the schema. */
export type GivenSettings = Readonly<Record<string, unknown>>;

interface CheckedSettings extends Omit<
  Settings,
  "budget" | "minFree" | "mountBudget" | "maxBlob" | "quotas" | "oidc" | "tls"
> {
  readonly budget: number | string;
  readonly minFree: number | string;
  readonly mountBudget: number | string;
  readonly maxBlob: number | string;
  readonly quotas: readonly { readonly lane: string; readonly bytes: number | string }[];
  readonly oidc: readonly (OidcRule | OidcPreset)[];
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

/** What the environment's variables for settings begin with: `VARVE_CACHE_SERVER_MAX_BLOB` is `maxBlob`. */
const ENV_PREFIX = "VARVE_CACHE_SERVER_";

/**
 * Settings from a file, the environment and flags, the later ones first, with defaults for all else.
 * @throws ServerError `SETTINGS_INVALID` for a name that is unknown, with the nearest one, or a value that is not allowed.
 */
export function readSettings({
  file,
  env,
  flags,
}: {
  readonly file: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly flags: GivenSettings;
}): Settings {
  const given = { ...(file === undefined ? {} : readSettingsFile(file)), ...settingsOfEnvironment(env), ...flags };
  return completeSettings(checkSettings(given, "settings"));
}

function readSettingsFile(file: string): GivenSettings {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw new ServerError("SETTINGS_INVALID", `Cannot read "${file}": ${(cause as Error).message}`, { cause });
  }
  const { $schema: _, ...given } = checkSettings(value, `"${file}"`) as GivenSettings & { readonly $schema?: unknown };
  return given;
}

function settingsOfEnvironment(env: Readonly<Record<string, string | undefined>>): GivenSettings {
  const pairs = Object.entries(env).filter(([name, value]) => name.startsWith(ENV_PREFIX) && value !== undefined);
  const given = Object.fromEntries(
    pairs.map(([name, value]) => {
      const words = name.slice(ENV_PREFIX.length).toLowerCase().split("_");
      const camel = words.map((word, position) =>
        position === 0 ? word : word.charAt(0).toUpperCase() + word.slice(1),
      );
      return [camel.join(""), parseText(camel.join(""), value ?? "")];
    }),
  );
  checkSettings(given, "the environment");
  return given;
}

/** `text` of a flag or variable as the value that the schema wants. */
export function parseText(name: string, text: string): unknown {
  const types = [SETTINGS_SCHEMA.properties[name]?.type].flat();
  if (types.includes("boolean")) return text === "true" ? true : text === "false" ? false : text;
  if (types.includes("array")) return parseJson(text);
  return (types.includes("integer") || types.includes("number")) && /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : text;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const validate = new Ajv({ allErrors: true, strict: false, verbose: true }).compile(SETTINGS_SCHEMA);

function checkSettings(value: unknown, where: string): GivenSettings {
  if (validate(value)) return value as GivenSettings;
  const [error] = (validate.errors ?? []).toSorted((a, b) => b.instancePath.length - a.instancePath.length);
  throw describeError(error, where);
}

function describeError(error: ErrorObject | undefined, where: string): ServerError {
  const at = (error?.instancePath ?? "").slice(1).replaceAll("/", ".");
  if (error?.keyword === "additionalProperties") {
    const name = String((error.params as { readonly additionalProperty: unknown }).additionalProperty);
    const near = nearest(name, Object.keys((error.parentSchema as SettingsSchema | undefined)?.properties ?? {}));
    return new ServerError(
      "SETTINGS_INVALID",
      `Cannot use ${where}: there is no setting "${at === "" ? name : `${at}.${name}`}"`,
      near === undefined ? {} : { hint: `Did you mean "${near}"?` },
    );
  }
  const wanted = error?.keyword === "enum" ? `one of ${JSON.stringify(error.params["allowedValues"])}` : error?.message;
  return new ServerError("SETTINGS_INVALID", `Cannot use ${where}: "${at}" ${wanted ?? "is not allowed"}`);
}

function completeSettings(given: GivenSettings): Settings {
  const checked = { ...defaults(), ...given } as unknown as CheckedSettings;
  const { tlsCert, tlsKey, quotas, oidc, ...rest } = checked;
  if ((tlsCert === undefined) !== (tlsKey === undefined))
    throw new ServerError("SETTINGS_INVALID", "Cannot use TLS: wanted both tlsCert and tlsKey");
  return {
    ...rest,
    budget: parseSize(checked.budget),
    minFree: parseSize(checked.minFree),
    mountBudget: parseSize(checked.mountBudget),
    maxBlob: parseSize(checked.maxBlob),
    quotas: quotas.map(({ lane, bytes }) => ({ lane, bytes: parseSize(bytes) })),
    oidc: oidc.flatMap((rule) => ("preset" in rule ? expandPreset(rule) : [rule])),
    tls: tlsCert === undefined || tlsKey === undefined ? undefined : { cert: readPem(tlsCert), key: readPem(tlsKey) },
  };
}

function readPem(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new ServerError("SETTINGS_INVALID", `Cannot use TLS: ${(cause as Error).message}`, { cause });
  }
}

function defaults(): GivenSettings {
  const pairs = Object.entries(SETTINGS_SCHEMA.properties);
  return Object.fromEntries(
    pairs.flatMap(([name, property]) => ("default" in property ? [[name, property.default]] : [])),
  );
}
