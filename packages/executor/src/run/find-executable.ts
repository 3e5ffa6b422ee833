import { accessSync, constants, statSync } from "node:fs";
import { programError } from "./program-error.ts";

/**
 * The file that a name means: itself where it has a slash, else the first of that name in the PATH of `env` that may be
 * executed. Runs in the rootfs, as the user of the process.
 * @throws ProgramError `missing`, or `denied` where there are only such that may not be executed.
 */
export function findExecutable(name: string, env: readonly string[]): string {
  const path = env.findLast((pair) => pair.startsWith("PATH="))?.slice("PATH=".length) ?? "";
  const directories = path.split(":").map((directory) => (directory === "" ? "." : directory));
  const candidates = name.includes("/") ? [name] : directories.map((directory) => `${directory}/${name}`);
  const files = candidates.filter(isFile);
  const found = files.find(isExecutable);
  if (found !== undefined) return found;
  throw programError(files.length === 0 ? "missing" : "denied", name);
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
