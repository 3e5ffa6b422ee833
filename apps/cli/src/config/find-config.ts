import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { UsageError } from "../errors.ts";
import type { PlaceOf } from "./options.ts";

/** Options that a project keeps in a file. */
export interface Config {
  readonly file: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly placeOf: PlaceOf;
}

/**
 * The nearest config at `directory` or above it: `varve.json`, or the member `varve` of `package.json`; undefined where
 * there is none.
 * @throws UsageError for a file that is no JSON, and for two configs in one directory.
 */
export function findConfig(directory: string): Config | undefined {
  const found = ["varve.json", "package.json"].flatMap((name) => {
    const file = join(directory, name);
    const config = existsSync(file) ? readConfig(file) : undefined;
    return config === undefined ? [] : [config];
  });
  const [first, second] = found;
  if (second !== undefined)
    throw new UsageError(
      `Cannot choose a config: varve.json and "varve" of package.json in "${directory}" are both one`,
      "Keep one of them",
    );
  const above = dirname(directory);
  return first ?? (above === directory ? undefined : findConfig(above));
}

/**
 * The config in a file: the whole of it, or of a `package.json` the member `varve`; undefined for one without.
 * @throws UsageError for a file that can't be read, is no JSON, or holds no object.
 */
export function readConfig(file: string): Config | undefined {
  const text = readText(file);
  const isPackage = file.endsWith("package.json");
  if (isPackage && !text.includes('"varve"')) return undefined;
  const json = parseJson(text, file);
  const value = isPackage ? (json as { readonly varve?: unknown } | null)?.varve : json;
  if (isPackage && value === undefined) return undefined;
  const start = isPackage ? text.search(/"varve"\s*:\s*[^\s"]/) : 0;
  const shown = relative(process.cwd(), file);
  const placeOf: PlaceOf = (key) => ` of ${shown}:${lineOf(text, key, Math.max(start, 0))}`;
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new UsageError(`Cannot use config "${shown}:${lineAt(text, start)}": wanted an object of options`);
  const { $schema: _, ...options } = value as Readonly<Record<string, unknown>>;
  return { file, options, placeOf };
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    throw new UsageError(`Cannot read config "${file}": ${code === "ENOENT" ? "no such file or directory" : code}`);
  }
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    const [, problem = "", line] = /^(.*?)(?: in JSON)?(?: at position \d+)?(?: \(line (\d+) column \d+\))?$/s.exec(
      (error as Error).message,
    ) ?? ["", String(error)];
    throw new UsageError(`Cannot read config "${file}${line === undefined ? "" : `:${line}`}": ${problem}`);
  }
}

/** The line of the first member of that name behind `start`, counted from 1. */
function lineOf(text: string, key: string, start: number): number {
  const name = JSON.stringify(key).replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  const offset = text.slice(start).search(new RegExp(`${name}\\s*:`));
  return lineAt(text, start + Math.max(offset, 0));
}

function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split("\n").length;
}
