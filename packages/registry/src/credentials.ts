import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { RegistryError } from "./errors.ts";

/** What proves who is asking. */
export type Credentials =
  | { readonly type: "password"; readonly username: string; readonly password: string; readonly source: string }
  | { readonly type: "identity-token"; readonly token: string; readonly source: string }
  | { readonly type: "registry-token"; readonly token: string; readonly source: string };

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

const DOCKER_HUB_KEYS = ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io"];
const NO_CREDENTIALS = /credentials not found|no credentials|not found in native keychain/i;

/**
 * The credentials that this machine's user has for `repository` of `registry`: Docker's config.json, then Podman's
 * auth.json; in each `credHelpers`, `credsStore`, `auths`. Undefined where there are none.
 * @throws RegistryError `CREDENTIALS_INVALID` for a file or a helper that is damaged.
 */
export async function findCredentials(registry: string, repository: string): Promise<Credentials | undefined> {
  for (const path of authFiles()) {
    const file = await readAuthFile(path);
    if (file === undefined) continue;
    const found = await fromFile(file, { path, keys: keysOf(registry, repository) });
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Where credentials are looked for, in order. */
export function authFiles(): readonly string[] {
  const docker = join(process.env["DOCKER_CONFIG"] ?? join(homedir(), ".docker"), "config.json");
  const own = process.env["REGISTRY_AUTH_FILE"];
  const runtime = process.env["XDG_RUNTIME_DIR"];
  return [
    ...(own === undefined ? [] : [own]),
    docker,
    ...(runtime === undefined ? [] : [join(runtime, "containers", "auth.json")]),
    join(homedir(), ".config", "containers", "auth.json"),
  ];
}

/** Names under which a registry may stand; Podman's are paths, the longest first. */
function keysOf(registry: string, repository: string): readonly string[] {
  const parts = repository.split("/");
  const paths = parts.map((_, index) => `${registry}/${parts.slice(0, parts.length - index).join("/")}`);
  const plain =
    registry === "docker.io"
      ? DOCKER_HUB_KEYS
      : [registry, `https://${registry}`, `http://${registry}`, `https://${registry}/v1/`, `https://${registry}/v2/`];
  return [...paths, ...plain];
}

async function readAuthFile(path: string): Promise<AuthFile | undefined> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as AuthFile;
  } catch (cause) {
    throw new RegistryError("CREDENTIALS_INVALID", `Cannot read credentials from "${path}": it is not JSON`, {
      cause,
      hint: "Mend the file, or log in again",
    });
  }
}

interface Search {
  readonly path: string;
  readonly keys: readonly string[];
}

async function fromFile(file: AuthFile, { path, keys }: Search): Promise<Credentials | undefined> {
  const named = keys.find((key) => file.credHelpers?.[key] !== undefined);
  if (named !== undefined) return askHelper(file.credHelpers?.[named] ?? "", named);
  if (file.credsStore !== undefined && file.credsStore !== "") {
    for (const key of keys.filter((each) => !each.includes("/") || each.startsWith("http"))) {
      const found = await askHelper(file.credsStore, key);
      if (found !== undefined) return found;
    }
  }
  const key = keys.find((each) => file.auths?.[each] !== undefined);
  return key === undefined ? undefined : fromEntry(file.auths?.[key] ?? {}, path);
}

function fromEntry(entry: AuthEntry, source: string): Credentials | undefined {
  if (entry.registrytoken !== undefined && entry.registrytoken !== "")
    return { type: "registry-token", token: entry.registrytoken, source };
  if (entry.identitytoken !== undefined && entry.identitytoken !== "")
    return { type: "identity-token", token: entry.identitytoken, source };
  if (entry.auth === undefined || entry.auth === "") {
    const { username, password } = entry;
    return username === undefined || password === undefined
      ? undefined
      : { type: "password", username, password, source };
  }
  const decoded = Buffer.from(entry.auth, "base64").toString("utf8").replace(/\0+$/, "");
  const colon = decoded.indexOf(":");
  if (colon < 0)
    throw new RegistryError(
      "CREDENTIALS_INVALID",
      `Cannot read credentials from "${source}": an "auth" member is not base64 of user:password`,
      { hint: "Log in again" },
    );
  return { type: "password", username: decoded.slice(0, colon), password: decoded.slice(colon + 1), source };
}

/** docker-credential-helpers: the server's name on stdin, JSON on stdout. */
async function askHelper(suffix: string, server: string): Promise<Credentials | undefined> {
  const program = `docker-credential-${suffix}`;
  const { stdout, error } = await new Promise<{ readonly stdout: string; readonly error: Error | null }>((resolve) => {
    const child = execFile(program, ["get"], (failure, output) => resolve({ stdout: output, error: failure }));
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(server);
  });
  if (error !== null) {
    if (NO_CREDENTIALS.test(stdout)) return undefined;
    throw new RegistryError(
      "CREDENTIALS_INVALID",
      `Cannot ask credential helper "${program}": ${stdout.trim() || error.message}`,
      { cause: error, hint: `Install ${program}, or take it out of the config file` },
    );
  }
  const { Username, Secret } = JSON.parse(stdout) as { readonly Username: string; readonly Secret: string };
  if (Username === "<token>") return { type: "identity-token", token: Secret, source: program };
  return { type: "password", username: Username, password: Secret, source: program };
}
