import { hostPlatform, parsePlatform, CodedError, type Platform } from "@varve/oci";
import { UsageError } from "./errors.ts";
import type { Flag, Parsed } from "./flags.ts";

/** `--store`, of every command that opens it. */
export const STORE_FLAG: Flag = { name: "store", value: "DIR", description: "The store to use" };

/** `--platform`, of commands that need one image of several. */
export const PLATFORM_FLAG: Flag = {
  name: "platform",
  value: "PLATFORM",
  description: "The image for this platform, where there are several; this machine's by default",
};

/** `--platform`, or this machine's. @throws UsageError */
export function platformOf(flags: Parsed): Platform {
  const text = flags.value("platform");
  if (text === undefined) return hostPlatform();
  try {
    return parsePlatform(text);
  } catch (error) {
    throw error instanceof CodedError ? new UsageError(error.message, error.hint) : error;
  }
}

/** Exactly as many words as `names` has. @throws UsageError naming the first that is missing, or one too many. */
export function takeWords<const T extends readonly string[]>(
  flags: Parsed,
  command: string,
  names: T,
): { readonly [K in keyof T]: string } {
  const { positionals } = flags;
  const missing = names[positionals.length];
  const usage = `varve ${command} ${names.join(" ")}`;
  if (missing !== undefined) throw new UsageError(`Cannot run ${command}: ${missing} was not given`, `Write ${usage}`);
  const extra = positionals[names.length];
  if (extra !== undefined)
    throw new UsageError(`Cannot run ${command}: "${extra}" is one word too many`, `Write ${usage}`);
  return positionals as unknown as { readonly [K in keyof T]: string };
}

/** At least one word. @throws UsageError */
export function takeList(flags: Parsed, command: string, name: string): readonly [string, ...string[]] {
  const [first, ...others] = flags.positionals;
  if (first === undefined)
    throw new UsageError(`Cannot run ${command}: ${name} was not given`, `Write varve ${command} ${name}…`);
  return [first, ...others];
}
