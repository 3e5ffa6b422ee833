import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

const DEFAULT_HOST = "unix:///var/run/docker.sock";

/**
 * Where the docker command line would find its daemon: DOCKER_HOST, else the context that DOCKER_CONTEXT or
 * `docker context use` chose, else the usual socket. A URL such as `unix:///run/docker.sock`.
 */
export async function dockerHost(): Promise<string> {
  const named = process.env["DOCKER_HOST"];
  if (named !== undefined && named !== "") return named;
  const directory = process.env["DOCKER_CONFIG"] ?? join(homedir(), ".docker");
  const config = (await readJson(join(directory, "config.json"))) as { readonly currentContext?: unknown } | undefined;
  const context = process.env["DOCKER_CONTEXT"] ?? config?.currentContext;
  if (typeof context !== "string" || context === "" || context === "default") return DEFAULT_HOST;
  const file = join(directory, "contexts", "meta", directoryOf(context), "meta.json");
  const meta = (await readJson(file)) as ContextMeta | undefined;
  const host = meta?.Endpoints?.docker?.Host;
  return typeof host === "string" ? host : DEFAULT_HOST;
}

interface ContextMeta {
  readonly Endpoints?: { readonly docker?: { readonly Host?: unknown } };
}

/** Docker keeps each context in a directory named by the sha256 of its name. */
function directoryOf(context: string): string {
  return createHash("sha256").update(context).digest("hex");
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch {
    return undefined;
  }
}
