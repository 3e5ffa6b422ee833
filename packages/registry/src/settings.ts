import { RegistryError } from "./errors.ts";

/** How registries are spoken to. What is left out comes from the environment. */
export interface RegistrySettings {
  /**
   * Registries that are spoken to by http; loopback addresses always are.
   * Environment: `VARVE_INSECURE_REGISTRIES=host:port,…`.
   */
  readonly insecure?: readonly string[];
  /**
   * By registry, where to ask before it: URLs, to whose path the repository's name is added. A mirror that does not
   * answer or does not have it costs time, nothing else. Environment: `VARVE_REGISTRY_MIRROR=docker.io=https://…,…`.
   */
  readonly mirrors?: Readonly<Record<string, readonly string[]>>;
}

/**
 * The settings in these variables.
 * @throws RegistryError `PROTOCOL` for a mirror that is no URL.
 */
export function readSettings(environment: NodeJS.ProcessEnv): Required<RegistrySettings> {
  const mirrors: Record<string, string[]> = {};
  for (const text of split(environment["VARVE_REGISTRY_MIRROR"])) {
    const [, registry, url] = /^([^=]+)=(https?:\/\/.+)$/.exec(text) ?? [];
    if (registry === undefined || url === undefined || !URL.canParse(url))
      throw new RegistryError("PROTOCOL", `Cannot use mirror "${text}": wanted registry=https://host[/path]`, {
        hint: "Correct the environment variable VARVE_REGISTRY_MIRROR",
      });
    (mirrors[registry] ??= []).push(url);
  }
  return { insecure: split(environment["VARVE_INSECURE_REGISTRIES"]), mirrors };
}

function split(list: string | undefined): string[] {
  return (list ?? "")
    .split(",")
    .map((each) => each.trim())
    .filter((each) => each !== "");
}

/** True for this machine's own addresses, with or without a port. */
export function isLoopback(host: string): boolean {
  return /^(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?$/.test(host);
}
