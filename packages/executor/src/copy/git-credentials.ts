import { readSecret } from "../mounts/secret-mount.ts";
import type { SecretSource } from "../session.ts";

/**
 * Variables that let git authenticate at `remote`'s host, where the secrets GIT_AUTH_TOKEN or GIT_AUTH_HEADER were
 * given, or those with the host's name behind a dot: Docker's "Git authentication for remote contexts". They are not
 * on the command line, where every process could see them.
 */
export async function gitCredentials(
  remote: string,
  secrets: ReadonlyMap<string, SecretSource>,
): Promise<Readonly<Record<string, string>>> {
  const url = /^https?:\/\//i.test(remote) ? new URL(remote) : undefined;
  if (url === undefined) return {};
  const find = async (name: string): Promise<string | undefined> => {
    const id = [`${name}.${url.host}`, name].find((each) => secrets.has(each));
    const source = id === undefined ? undefined : secrets.get(id);
    return id === undefined || source === undefined
      ? undefined
      : (await readSecret(id, source))?.toString("utf8").trim();
  };
  const token = await find("GIT_AUTH_TOKEN");
  const basic = token === undefined ? undefined : `basic ${Buffer.from(`x-access-token:${token}`).toString("base64")}`;
  const header = (await find("GIT_AUTH_HEADER")) ?? basic;
  if (header === undefined) return {};
  return {
    GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_KEY_0: `http.${url.origin}/.extraheader`,
    GIT_CONFIG_VALUE_0: `Authorization: ${header}`,
  };
}
