import { ServerError } from "./errors.ts";

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/**
 * A duration such as `90d`, `12h`, `30m`, in milliseconds.
 * @throws ServerError `SERVER_USAGE`.
 */
export function parseDuration(text: string): number {
  const [, digits = "", unit = ""] = /^(\d{1,6})([smhdw])$/.exec(text) ?? [];
  const factor = UNITS[unit];
  if (factor !== undefined) return Number(digits) * factor;
  throw new ServerError(
    "SERVER_USAGE",
    `Cannot use duration "${text}": wanted a number and s, m, h, d or w, such as 90d`,
  );
}
