import type { Location } from "@varve/dockerfile";

/** A place as BuildKit's subrequests write it. */
export interface JsonLocation {
  readonly ranges: readonly {
    readonly start: { readonly line: number };
    readonly end: { readonly line: number };
  }[];
}

/** A place in the Dockerfile, as it stands in the JSON of `--call`. */
export function toJsonLocation({ line, endLine }: Location): JsonLocation {
  return { ranges: [{ start: { line }, end: { line: endLine } }] };
}

/** The Dockerfile's text, as it stands there. */
export function toJsonSource(text: string): string {
  return Buffer.from(text).toString("base64");
}

/** Writes a result of `--call=METHOD,format=json` to standard output. */
export function writeJson(result: unknown): void {
  process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
}
