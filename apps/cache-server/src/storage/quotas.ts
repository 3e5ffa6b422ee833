import type { Lane } from "@varve/cache";
import { laneKey } from "../database/keys.ts";
import { parseTotals } from "../database/totals.ts";
import { ServerError } from "../errors.ts";
import type { ReadRow } from "./blob-rows.ts";

/** How much lanes may hold; the first that fits a lane's name decides. */
export type Quotas = readonly Quota[];

export interface Quota {
  /** A lane's name, in which `*` stands for any text. */
  readonly lane: string;
  readonly bytes: number;
}

/**
 * Refuses to let a lane hold `bytes` more.
 * @throws ServerError `QUOTA_EXCEEDED`.
 */
export function checkQuota(
  get: ReadRow,
  quotas: Quotas,
  { lane, bytes }: { readonly lane: Lane; readonly bytes: number },
): void {
  const quota = quotas.find((each) => matchesGlob(lane, each.lane));
  if (quota === undefined) return;
  const held = parseTotals(get(laneKey(lane))).bytes;
  if (held + bytes <= quota.bytes) return;
  throw new ServerError(
    "QUOTA_EXCEEDED",
    `Cannot store in lane "${lane}": it holds ${held} bytes, and may hold ${quota.bytes}`,
    { hint: `Raise the quota of "${quota.lane}", or empty the lane: varve-cache purge --lane ${lane}` },
  );
}

/** True where `text` fits `glob`, in which `*` stands for any text, an empty one too. */
export function matchesGlob(text: string, glob: string): boolean {
  return captureGlob(text, glob) !== undefined;
}

/** What each `*` of `glob` stands for in `text`, each as short as can be; undefined where it does not fit. */
export function captureGlob(text: string, glob: string): readonly string[] | undefined {
  const pattern = glob.split("*").map((each) => each.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  return new RegExp(`^${pattern.join("(.*?)")}$`, "su").exec(text)?.slice(1);
}
