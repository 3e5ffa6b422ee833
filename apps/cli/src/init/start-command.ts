import { existsSync } from "node:fs";
import { join } from "node:path";
import type { NodeProject, PackageJson } from "./node-project.ts";

/**
 * What starts a program, as CMD has it, and why: the script `start`, else `main` or `bin` of package.json, else
 * a usual file. Undefined where nothing tells.
 */
export function startCommand({ directory, manifest, manager }: NodeProject): readonly string[] | undefined {
  const start = manifest.scripts?.["start"];
  const [, file] = /^node\s+((?:--?[\w-]+(?:=\S+)?\s+)*[\w./-]+)$/.exec(start?.trim() ?? "") ?? [];
  if (file !== undefined) return ["node", ...file.split(/\s+/)];
  if (start !== undefined) return [manager.name, "run", "start"];
  const program =
    mainOf(manifest) ?? ["server.js", "index.js", "src/index.js"].find((name) => existsSync(join(directory, name)));
  return program === undefined ? undefined : ["node", program];
}

function mainOf({ main, bin }: PackageJson): string | undefined {
  return main ?? (typeof bin === "string" ? bin : Object.values(bin ?? {})[0]);
}
