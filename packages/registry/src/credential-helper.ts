import { execFile } from "node:child_process";
import { RegistryError } from "./errors.ts";

/** What a helper answered: a user's secret, nothing, or that it can't be asked. */
export type HelperAnswer =
  | { readonly type: "secret"; readonly username: string; readonly secret: string }
  | { readonly type: "none" }
  | { readonly type: "broken"; readonly problem: string };

const NO_CREDENTIALS = /credentials not found|no credentials|not found in native keychain/i;
/** A helper that waits for someone to unlock a keychain: milliseconds. */
const PATIENCE = 30_000;

/**
 * Asks `docker-credential-<suffix>` for the secret of `server`: docker-credential-helpers' protocol, the server's
 * name on stdin, JSON on stdout.
 */
export async function askHelper(suffix: string, server: string): Promise<HelperAnswer> {
  const program = `docker-credential-${suffix}`;
  const { stdout, error } = await runHelper(program, server);
  if (error === null) return parseAnswer(stdout, program);
  if (NO_CREDENTIALS.test(stdout)) return { type: "none" };
  return { type: "broken", problem: `${program} failed: ${stdout.trim() || error.message}` };
}

function runHelper(
  program: string,
  server: string,
): Promise<{ readonly stdout: string; readonly error: Error | null }> {
  return new Promise((resolve) => {
    const child = execFile(program, ["get"], { timeout: PATIENCE }, (error, stdout) => resolve({ stdout, error }));
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(server);
  });
}

function parseAnswer(stdout: string, program: string): HelperAnswer {
  try {
    const { Username, Secret } = JSON.parse(stdout) as { readonly Username?: unknown; readonly Secret?: unknown };
    if (typeof Username === "string" && typeof Secret === "string")
      return Secret === "" ? { type: "none" } : { type: "secret", username: Username, secret: Secret };
  } catch {
    // Told below, without the output: it may hold a part of a secret.
  }
  throw new RegistryError("CREDENTIALS_INVALID", `Cannot use credentials of "${program}": its answer is not JSON`, {
    hint: "Log in again, or take the helper out of the config file",
  });
}
