import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { askHelper } from "./credential-helper.ts";
import { RegistryError } from "./errors.ts";

/** What proves who is asking; `source` is the file or the helper that it comes from. */
export type Credentials =
  | { readonly type: "password"; readonly username: string; readonly password: string; readonly source: string }
  | { readonly type: "identity-token"; readonly token: string; readonly source: string }
  | { readonly type: "registry-token"; readonly token: string; readonly source: string };

/** What a search for credentials brought. */
export interface FoundCredentials {
  /** Undefined where there are none. */
  readonly credentials?: Credentials;
  /** Why there may be some that could not be had: a helper that is not installed, for example. */
  readonly problem?: string;
}

interface AuthEntry {
  readonly auth?: string;
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
}

interface AuthFile {
  readonly auths?: Readonly<Record<string, AuthEntry>>;
  readonly credHelpers?: Readonly<Record<string, string>>;
  readonly credsStore?: string;
}

/** Docker Hub's names in config files; helpers know the first. */
const DOCKER_HUB_KEYS = ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io"];

/**
 * The credentials that this machine's user has for `repository` of `registry`: `REGISTRY_AUTH_FILE`, Docker's
 * config.json, Podman's auth.json; in each `credHelpers`, `credsStore`, `auths`. A helper that can't be asked is a
 * problem to tell of only where the registry refuses: most images are public.
 * @throws RegistryError `CREDENTIALS_INVALID` for a file that is damaged.
 */
export async function findCredentials(registry: string, repository: string): Promise<FoundCredentials> {
  let problem: string | undefined;
  for (const path of authFiles()) {
    const file = await readAuthFile(path);
    const found = file === undefined ? {} : await searchFile(file, { path, registry, repository });
    if (found.credentials !== undefined) return found;
    problem ??= found.problem;
  }
  return problem === undefined ? {} : { problem };
}

/** Where credentials are looked for, in order. */
export function authFiles(): readonly string[] {
  const own = process.env["REGISTRY_AUTH_FILE"];
  const runtime = process.env["XDG_RUNTIME_DIR"];
  return [
    ...(own === undefined ? [] : [own]),
    join(process.env["DOCKER_CONFIG"] ?? join(homedir(), ".docker"), "config.json"),
    ...(runtime === undefined ? [] : [join(runtime, "containers", "auth.json")]),
    join(homedir(), ".config", "containers", "auth.json"),
  ];
}

async function readAuthFile(path: string): Promise<AuthFile | undefined> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined || text.trim() === "") return undefined;
  try {
    return (JSON.parse(text) as AuthFile | null) ?? undefined;
  } catch {
    // Without the cause: its message cites the text, in which there are secrets.
    throw new RegistryError("CREDENTIALS_INVALID", `Cannot read credentials from "${path}": it is not JSON`, {
      hint: "Mend the file, or log in again",
    });
  }
}

interface Search {
  readonly path: string;
  readonly registry: string;
  readonly repository: string;
}

async function searchFile(file: AuthFile, search: Search): Promise<FoundCredentials> {
  const keys = keysOf(search);
  const named = keys.find((key) => file.credHelpers?.[key] !== undefined);
  if (named !== undefined) return askFor(file.credHelpers?.[named] ?? "", named);
  const stored: FoundCredentials = file.credsStore ? await askFor(file.credsStore, serverOf(search)) : {};
  if (stored.credentials !== undefined) return stored;
  const credentials = readEntries(file.auths ?? {}, keys, search.path);
  return credentials === undefined ? stored : { credentials };
}

/** Names under which a registry may stand; Podman's are paths, the longest first. */
function keysOf({ registry, repository }: Search): readonly string[] {
  const parts = repository.split("/");
  const paths = parts.map((_, index) => `${registry}/${parts.slice(0, parts.length - index).join("/")}`);
  const hosts = [registry, `https://${registry}`, `http://${registry}`];
  const plain = hosts.flatMap((host) => [host, `${host}/`, `${host}/v1/`, `${host}/v2/`]);
  return [...paths, ...(registry === "docker.io" ? DOCKER_HUB_KEYS : plain)];
}

function serverOf({ registry }: Search): string {
  return registry === "docker.io" ? (DOCKER_HUB_KEYS[0] ?? registry) : registry;
}

async function askFor(suffix: string, server: string): Promise<FoundCredentials> {
  const answer = await askHelper(suffix, server);
  switch (answer.type) {
    case "none":
      return {};
    case "broken":
      return { problem: answer.problem };
    case "secret": {
      const { username, secret } = answer;
      const source = `docker-credential-${suffix}`;
      if (username === "<token>") return { credentials: { type: "identity-token", token: secret, source } };
      return { credentials: { type: "password", username, password: secret, source } };
    }
    default:
      return answer satisfies never;
  }
}

function readEntries(
  auths: Readonly<Record<string, AuthEntry>>,
  keys: readonly string[],
  source: string,
): Credentials | undefined {
  for (const key of keys) {
    const entry = auths[key];
    const found = entry === undefined ? undefined : readEntry(entry, source);
    if (found !== undefined) return found;
  }
  return undefined;
}

function readEntry(entry: AuthEntry, source: string): Credentials | undefined {
  const { username, password } = entry;
  if (entry.registrytoken) return { type: "registry-token", token: entry.registrytoken, source };
  if (entry.identitytoken) return { type: "identity-token", token: entry.identitytoken, source };
  if (entry.auth) return decodeEntry(entry.auth, source);
  return username === undefined || password === undefined
    ? undefined
    : { type: "password", username, password, source };
}

function decodeEntry(auth: string, source: string): Credentials {
  const decoded = Buffer.from(auth, "base64").toString("utf8").replace(/\0+$/, "");
  const colon = decoded.indexOf(":");
  if (colon < 0)
    throw new RegistryError(
      "CREDENTIALS_INVALID",
      `Cannot read credentials from "${source}": an "auth" member is not base64 of user:password`,
      { hint: "Log in again" },
    );
  return { type: "password", username: decoded.slice(0, colon), password: decoded.slice(colon + 1), source };
}
