import { dirname, resolve } from "node:path";
import type { Flag, Parsed } from "../flags.ts";
import { findConfig } from "./find-config.ts";

/**
 * A command line of a command that works on the store without building: where neither flag nor environment say which,
 * the store is that of the config at the current directory or above it, so that all commands mean the same one.
 * @throws UsageError for a config that can't be read.
 */
export function withStore(parsed: Parsed, flags: readonly Flag[]): Parsed {
  const takes = (name: string): boolean => flags.some((flag) => flag.name === name);
  if (!takes("store") || takes("config")) return parsed;
  if (parsed.value("store") !== undefined || (process.env["VARVE_STORE"] ?? "") !== "") return parsed;
  const config = findConfig(process.cwd());
  const store = config?.options["store"];
  if (config === undefined || typeof store !== "string") return parsed;
  const path = resolve(dirname(config.file), store);
  return { ...parsed, value: (name) => (name === "store" ? path : parsed.value(name)) };
}
