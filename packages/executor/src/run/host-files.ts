import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BindMount, RunCommand } from "../runner.ts";

/** The machine's own loopback stands for `host-gateway`: a RUN shares the machine's network. */
const GATEWAY = "127.0.0.1";

/**
 * Writes /etc/resolv.conf and /etc/hosts for a process into `scratch` and gives the read-only mounts that show them:
 * the machine's name servers; loopback with the host name, then the extra names, in BuildKit's form.
 */
export function writeHostFiles(scratch: string, command: RunCommand): readonly BindMount[] {
  const files = [
    { name: "resolv.conf", content: readOr("/etc/resolv.conf", "") },
    { name: "hosts", content: formatHosts(command) },
  ];
  return files.map(({ name, content }) => {
    const source = join(scratch, name);
    // ext4 writes a file to the disk at once that takes the place of an earlier one.
    if (readOr(source, undefined) !== content) writeFileSync(source, content, { mode: 0o644 });
    return { type: "bind", source, target: `/etc/${name}`, readonly: true };
  });
}

function formatHosts({ hostname, extraHosts }: RunCommand): string {
  const names = hostname === undefined ? "localhost" : `localhost ${hostname}`;
  const extra = extraHosts.map(([name, address]) => `${address === "host-gateway" ? GATEWAY : address}\t${name}`);
  return [`127.0.0.1\t${names}`, "::1\tlocalhost ip6-localhost ip6-loopback", ...extra, ""].join("\n");
}

function readOr<T>(path: string, otherwise: T): string | T {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return otherwise;
  }
}
