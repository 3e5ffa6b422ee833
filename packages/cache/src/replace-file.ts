import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { processIdentity } from "./process-identity.ts";

/** Writes `value` to `file` by a rename, its directory made. Not synced: what is lost with the machine is learnt again. */
export function replaceFile(file: string, value: Uint8Array): void {
  const temporary = `${file}.${processIdentity()}`;
  try {
    writeFileSync(temporary, value);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(temporary, value);
  }
  renameSync(temporary, file);
}
