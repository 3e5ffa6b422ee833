import { readFileSync } from "node:fs";

/** `pid-starttime`: names this process among all that the machine has run since it started. */
export function processIdentity(): string {
  return `${process.pid}-${startTime(process.pid) ?? "0"}`;
}

/** True where the process that `identity` names still runs. */
export function isProcessAlive(identity: string): boolean {
  const [pid, started] = identity.split("-");
  return startTime(Number(pid)) === started;
}

/** Clock ticks between the machine's start and the process': proc(5), /proc/pid/stat, field 22. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}
