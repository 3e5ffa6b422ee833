import { existsSync, readFileSync } from "node:fs";
import { dockerHost, findProgram, pingDocker } from "@varve/executor";
import { authFiles } from "@varve/registry";
import type { Finding } from "./finding.ts";

/** The Docker daemon, which only `--load` and `docker-daemon:` need. */
export async function examineDocker(): Promise<Finding> {
  const host = await dockerHost();
  const problem = await pingDocker();
  return problem === undefined
    ? { topic: "docker", name: "", state: "works", text: host }
    : {
        topic: "docker",
        name: "",
        state: "note",
        text: `none at ${host}: ${problem}; only --load and docker-daemon: need it`,
      };
}

/** Files with credentials of registries, and the helpers that they name. */
export function examineCredentials(): readonly Finding[] {
  return authFiles().flatMap((file): readonly Finding[] => {
    const found = { topic: "credentials", name: file };
    if (!existsSync(file)) return [{ ...found, state: "note", text: "absent" }];
    const config = readConfig(file);
    if (config === undefined)
      return [{ ...found, state: "off", text: "it is no JSON, or can't be read", hint: "Mend it, or log in again" }];
    return [{ ...found, state: "works", text: describeLogins(config) }, ...helpersOf(config).map(examineHelper)];
  });
}

interface AuthConfig {
  readonly auths?: Readonly<Record<string, unknown>>;
  readonly credHelpers?: Readonly<Record<string, string>>;
  readonly credsStore?: string;
}

function readConfig(file: string): AuthConfig | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as AuthConfig;
  } catch {
    return undefined;
  }
}

function describeLogins({ auths = {} }: AuthConfig): string {
  const registries = Object.keys(auths);
  return registries.length === 0 ? "no logins" : `logins for ${registries.join(", ")}`;
}

function helpersOf({ credHelpers = {}, credsStore }: AuthConfig): readonly string[] {
  return [...new Set([...Object.values(credHelpers), ...(credsStore === undefined ? [] : [credsStore])])];
}

function examineHelper(suffix: string): Finding {
  const name = `docker-credential-${suffix}`;
  const path = findProgram(name);
  return path === undefined
    ? { topic: "credentials", name, state: "off", text: "absent", hint: `Install ${name}, or log in without it` }
    : { topic: "credentials", name, state: "works", text: path };
}
