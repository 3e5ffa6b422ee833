import { readFileSync } from "node:fs";
import { userInfo } from "node:os";

/** True where this process is root of a user namespace and not of the machine: user_namespaces(7), uid_map. */
export function inUserNamespace(): boolean {
  try {
    return !/^\s*0\s+0\s+4294967295\s*$/.test(readFileSync("/proc/self/uid_map", "utf8"));
  } catch {
    return false;
  }
}

/** A command line, or why there is none. */
export type NamespaceCommand =
  | { readonly command: string; readonly args: readonly string[] }
  | { readonly problem: string; readonly hint: string };

/**
 * The command with which a user who is not root runs `argv` again as root of a user namespace of their own, with the
 * ids that /etc/subuid and /etc/subgid give them, or their own id alone.
 */
export function userNamespaceCommand(argv: readonly string[]): NamespaceCommand {
  const [limit] = readOr("/proc/sys/user/max_user_namespaces", "1").split("\n");
  const clone = readOr("/proc/sys/kernel/unprivileged_userns_clone", "1").trim();
  if (limit === "0" || clone === "0") {
    return {
      problem: "user namespaces are turned off on this machine",
      hint: "Run as root, or set kernel.unprivileged_userns_clone=1 and user.max_user_namespaces above 0",
    };
  }
  const mapped = hasSubordinateIds("/etc/subuid") && hasSubordinateIds("/etc/subgid");
  const map = mapped ? ["--map-auto"] : [];
  return {
    command: "unshare",
    args: ["--user", "--map-root-user", ...map, "--mount", "--propagation", "slave", "--", ...argv],
  };
}

function hasSubordinateIds(file: string): boolean {
  const { username, uid } = userInfo();
  return readOr(file, "")
    .split("\n")
    .some((line) => line.startsWith(`${username}:`) || line.startsWith(`${uid}:`));
}

function readOr(path: string, fallback: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return fallback;
  }
}
