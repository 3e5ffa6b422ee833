import { accessSync, constants } from "node:fs";
import { join } from "node:path";

/** Where administrators' programs are, which a user's PATH need not name. */
const SYSTEM_DIRECTORIES: readonly string[] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/** The path of a program on this machine's PATH or among the system's, or undefined. */
export function findProgram(name: string): string | undefined {
  const directories = [...(process.env["PATH"] ?? "").split(":"), ...SYSTEM_DIRECTORIES];
  return directories.map((directory) => join(directory, name)).find(mayExecute);
}

function mayExecute(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
