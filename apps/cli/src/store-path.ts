import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** Where the store is: `--store`, else VARVE_STORE, else the user's cache directory. */
export function storePath(flag: string | undefined): string {
  const named = flag ?? process.env["VARVE_STORE"];
  if (named !== undefined && named !== "") return resolve(named);
  const cache = process.env["XDG_CACHE_HOME"];
  return join(cache === undefined || cache === "" ? join(homedir(), ".cache") : cache, "varve");
}
