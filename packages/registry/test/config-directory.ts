import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished, vi } from "vitest";

/** Lets this test alone find credentials in files of its own: Docker's `config`, Podman's `podman`. */
export function useCredentials(config: object | undefined, podman?: object): { readonly directory: string } {
  const directory = mkdtempSync(join(tmpdir(), "varve-credentials-"));
  if (config !== undefined) writeFileSync(join(directory, "config.json"), JSON.stringify(config));
  if (podman !== undefined) writeFileSync(join(directory, "auth.json"), JSON.stringify(podman));
  vi.stubEnv("DOCKER_CONFIG", directory);
  vi.stubEnv("HOME", directory);
  vi.stubEnv("XDG_RUNTIME_DIR", undefined);
  vi.stubEnv("REGISTRY_AUTH_FILE", podman === undefined ? undefined : join(directory, "auth.json"));
  onTestFinished(() => {
    vi.unstubAllEnvs();
    rmSync(directory, { recursive: true, force: true });
  });
  return { directory };
}

/** Puts `docker-credential-<suffix>` with this shell text on the PATH of this test; the server's name is in `$server`. */
export function useHelper(directory: string, suffix: string, text: string): void {
  const path = join(directory, `docker-credential-${suffix}`);
  writeFileSync(path, `#!/bin/sh\nserver=$(cat)\necho "$1 $server" >> ${directory}/asked\n${text}\n`);
  chmodSync(path, 0o755);
  vi.stubEnv("PATH", `${directory}:${process.env["PATH"] ?? ""}`);
}

/** An `auths` entry for this user. */
export function authOf(user: string, password: string): { readonly auth: string } {
  return { auth: Buffer.from(`${user}:${password}`).toString("base64") };
}
