import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { StepError } from "../errors.ts";
import type { RunCommand } from "../runner.ts";

/** True where this process is in a user namespace and not the machine's: user_namespaces(7), uid_map. */
export function inUserNamespace(): boolean {
  return !/^\s*0\s+0\s+4294967295\s*$/.test(readOr("/proc/self/uid_map", "0 0 4294967295"));
}

/**
 * A command line, and which ids it maps: the `range` that /etc/subuid and /etc/subgid give the user, or the user's own
 * alone (`single`): files of other owners can't be made then, and nothing runs as another user. Or why there is none.
 */
export type NamespaceCommand =
  | { readonly command: string; readonly args: readonly string[]; readonly ids: "range" | "single" }
  | { readonly problem: string; readonly hint: string };

const UNSHARE: readonly string[] = ["--user", "--map-root-user", "--mount", "--propagation", "slave"];

/**
 * The command with which a user who is not root runs `argv` again as root of a user namespace of their own. It is tried
 * out: a command that is given works here.
 */
export function userNamespaceCommand(argv: readonly string[]): NamespaceCommand {
  for (const ids of ["range", "single"] as const) {
    const args = [...UNSHARE, ...(ids === "range" ? ["--map-auto"] : []), "--"];
    if (spawnSync("unshare", [...args, "true"]).status === 0)
      return { command: "unshare", args: [...args, ...argv], ids };
  }
  return explainProblem();
}

function explainProblem(): Extract<NamespaceCommand, { problem: string }> {
  for (const { file, off, hint } of SWITCHES) {
    if (readOr(file, "").trim() === off)
      return { problem: `user namespaces are turned off here (${file} is ${off})`, hint };
  }
  const { error, stderr } = spawnSync("unshare", [...UNSHARE, "--", "true"], { encoding: "utf8" });
  if (error !== undefined)
    return { problem: 'there is no program "unshare"', hint: "Install util-linux, or run as root" };
  return {
    problem: `no user namespace can be made here: ${stderr.trim()}`,
    hint: "Run as root, or let the container run without its seccomp or AppArmor profile",
  };
}

/** Kernel settings that forbid user namespaces: the kernel's own, Debian's and Ubuntu's. */
const SWITCHES = [
  {
    file: "/proc/sys/user/max_user_namespaces",
    off: "0",
    hint: "Run as root, or set sysctl user.max_user_namespaces above 0",
  },
  {
    file: "/proc/sys/kernel/unprivileged_userns_clone",
    off: "0",
    hint: "Run as root, or set sysctl kernel.unprivileged_userns_clone=1",
  },
  {
    file: "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    off: "1",
    hint: "Run as root, or set sysctl kernel.apparmor_restrict_unprivileged_userns=0",
  },
] as const;

/**
 * The command with the groups that its process gets here: its group is among the further ones, as with BuildKit; none
 * where this user namespace may not set any; of those that are not mapped in it, none.
 * @throws StepError `RUNNER_FAILED` where its user or group is not mapped.
 */
export function fitToNamespace(command: RunCommand): RunCommand {
  const groups = [...new Set([command.gid, ...command.additionalGids])];
  if (!inUserNamespace()) return { ...command, additionalGids: groups };
  const [hasUser, hasGroup] = [readMap("/proc/self/uid_map"), readMap("/proc/self/gid_map")];
  if (!hasUser(command.uid)) throw notMapped("user", command.uid);
  if (!hasGroup(command.gid)) throw notMapped("group", command.gid);
  const maySetGroups = readOr("/proc/self/setgroups", "allow").trim() !== "deny";
  return { ...command, additionalGids: maySetGroups ? groups.filter(hasGroup) : [] };
}

/** user_namespaces(7): lines of first id inside, first id outside, length. */
function readMap(file: string): (id: number) => boolean {
  const ranges = readOr(file, "")
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number));
  return (id) => ranges.some(([first = 0, , length = 0]) => id >= first && id < first + length);
}

function notMapped(what: "user" | "group", id: number): StepError {
  return new StepError("RUNNER_FAILED", `Cannot run as ${what} ${id}: it is not mapped in this user namespace`, {
    hint: `Give the user who builds subordinate ids: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER, with newuidmap installed (uidmap), or build as root`,
  });
}

function readOr(file: string, fallback: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return fallback;
  }
}
