import { formatSource, type Location } from "@varve/dockerfile";
import { UsageError } from "./errors.ts";

interface Described {
  readonly code?: unknown;
  readonly hint?: unknown;
  readonly location?: Location | undefined;
  readonly word?: string | undefined;
  readonly place?: { readonly step: string; readonly location: Location | undefined } | undefined;
}

/**
 * An error as people read it: code and message, the step, the Dockerfile's lines with a marker, what to do. An error
 * without a code is varve's own mistake, and comes with its stack.
 */
export function formatError(
  error: unknown,
  source: { readonly text: string; readonly file: string } | undefined,
): string {
  if (!(error instanceof Error)) return `error: ${String(error)}`;
  const { code, hint, location, place, word } = error as Error & Described;
  if (typeof code !== "string" || code.startsWith("ERR_"))
    return `error: ${error.stack ?? error.message}\nThis is a mistake in varve: please report it.`;
  const where = place?.location ?? location;
  const lines = [`error ${code}: ${error.message}`];
  if (place !== undefined) lines.push(`step: ${place.step}`);
  if (where !== undefined) lines.push(`${where.file}:${where.line}`);
  if (where !== undefined && source !== undefined)
    lines.push("--------------------", formatSource(source.text, where, word), "--------------------");
  if (typeof hint === "string") lines.push(`hint: ${hint}`);
  if (process.env["VARVE_DEBUG"] === "1") lines.push(...stackOf(error));
  return lines.join("\n");
}

/** An error as the last line of `--progress=json`: `code` is absent for varve's own mistakes. */
export function describeError(error: unknown): object {
  if (!(error instanceof Error)) return { type: "error", message: String(error) };
  const { code, hint, location, place } = error as Error & Described;
  const where = place?.location ?? location;
  return {
    type: "error",
    ...(typeof code === "string" ? { code } : {}),
    message: error.message,
    ...(typeof hint === "string" ? { hint } : {}),
    ...(place === undefined ? {} : { step: place.step }),
    ...(where === undefined ? {} : { file: where.file, line: where.line }),
  };
}

function stackOf(error: Error): string[] {
  const cause = error.cause instanceof Error ? ["caused by:", ...stackOf(error.cause)] : [];
  return [error.stack ?? "", ...cause];
}

/** 2 for wrong usage, 130 for a build that was cancelled, 1 for all else. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return 2;
  return (error as Described | undefined)?.code === "CANCELLED" ? 130 : 1;
}
