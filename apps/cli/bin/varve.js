#!/usr/bin/env node
// Plain JavaScript that every Node understands: an older one gets a clear line instead of a syntax error.
import { createRequire } from "node:module";
import module from "node:module";
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";

const NEEDED = 24;

function pinnedNode() {
  try {
    const manifest = createRequire(import.meta.url).resolve("node/package.json");
    return join(dirname(manifest), "bin", "node");
  } catch {
    return undefined;
  }
}

if (Number(process.versions.node.split(".")[0]) < NEEDED) {
  const pinned = process.env.VARVE_REEXECUTED === undefined ? pinnedNode() : undefined;
  if (pinned !== undefined) {
    const env = Object.assign({}, process.env, { VARVE_REEXECUTED: "1" });
    const child = spawnSync(pinned, process.argv.slice(1), { stdio: "inherit", env });
    if (child.error === undefined) process.exit(child.status === null ? 1 : child.status);
  }
  process.stderr.write(
    `varve needs Node.js ${NEEDED} or newer; this is ${process.versions.node}. Install a newer one, or run: npx -p node@${NEEDED} -p varve varve\n`,
  );
  process.exit(2);
}

module.enableCompileCache?.();
const { main } = await import("../dist/main.js");
await main(process.argv.slice(2));
