import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunCommand } from "../runner.ts";

/** Files of this machine that a process sees as /etc/hosts and /etc/resolv.conf. */
export interface HostFiles {
  readonly hosts: string;
  readonly resolvConf: string;
}

const LOOPBACK_HOSTS = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"];

/** Writes both into `scratch`: the machine's name servers, and a hosts file with the extra names. */
export function writeHostFiles(scratch: string, { extraHosts, hostname }: RunCommand): HostFiles {
  const hosts = join(scratch, "hosts");
  const resolvConf = join(scratch, "resolv.conf");
  const own = hostname === undefined ? [] : [`127.0.0.1\t${hostname}`];
  const extra = extraHosts.map(([name, address]) => `${address === "host-gateway" ? "127.0.0.1" : address}\t${name}`);
  writeFileSync(hosts, `${[...LOOPBACK_HOSTS, ...own, ...extra].join("\n")}\n`, { mode: 0o644 });
  writeFileSync(resolvConf, readOr("/etc/resolv.conf", ""), { mode: 0o644 });
  return { hosts, resolvConf };
}

function readOr(path: string, fallback: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return fallback;
  }
}
