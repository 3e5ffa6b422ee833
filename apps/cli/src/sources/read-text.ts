import { readFileSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";

/** The text of the file at `path`. @throws the error of the system. */
export async function readText(path: string): Promise<string> {
  // A file is here sooner than a thread is asked for it; whoever writes a pipe may take its time.
  return statSync(path).isFile() ? readFileSync(path, "utf8") : readFile(path, "utf8");
}
