import { ServerError } from "./errors.ts";

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

/**
 * A size in bytes: a number, or a text such as `500 MB`, `20GiB`, `1.5TB`.
 * @throws ServerError `SETTINGS_INVALID`.
 */
export function parseSize(size: number | string): number {
  const [, digits = "", unit = ""] = /^(\d+(?:\.\d+)?) ?([KMGT]i?B)?$/.exec(String(size)) ?? [];
  const factor = UNITS[unit];
  if (digits !== "" && factor !== undefined) return Math.floor(Number(digits) * factor);
  throw new ServerError(
    "SETTINGS_INVALID",
    `Cannot use size "${size}": wanted bytes, or a number with KB, MB, GB, TB, KiB, MiB, GiB or TiB`,
  );
}
