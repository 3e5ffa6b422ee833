import { spawn } from "node:child_process";
import { constants } from "node:os";
import { userNamespaceCommand } from "@varve/executor";

/** Set for a process that was started in a user namespace by another varve. */
const ENTERED = "VARVE_IN_USER_NAMESPACE";

/**
 * Runs this command line again as root of a user namespace, where the user is not root: builds mount, and give files
 * owners. Gives the exit code; undefined where this process is to do the work itself, because it is root, or because
 * no namespace can be made (a build without RUN may do without).
 */
export async function runInNamespace(onWarning: (message: string) => void): Promise<number | undefined> {
  if (process.getuid?.() === 0 || process.env[ENTERED] !== undefined) return undefined;
  const found = userNamespaceCommand([process.execPath, ...process.execArgv, ...process.argv.slice(1)]);
  if ("problem" in found) {
    onWarning(`Not root, and ${found.problem}: RUN steps and files of other owners will fail. ${found.hint}`);
    return undefined;
  }
  if (found.ids === "single")
    onWarning("No subordinate ids for this user in /etc/subuid and /etc/subgid: only root exists in RUN steps");
  // In a group of its own: Ctrl-C would reach it twice otherwise, from the terminal and from here, and twice means to end without cleaning up.
  const env = { ...process.env, [ENTERED]: "1" };
  const child = spawn(found.command, found.args, { stdio: "inherit", detached: true, env });
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, forward);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
    });
  } finally {
    for (const signal of signals) process.off(signal, forward);
  }
}
