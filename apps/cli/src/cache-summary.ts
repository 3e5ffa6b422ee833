import type { CacheCounts } from "@varve/cache";
import { formatBytes } from "./progress/progress.ts";

/** One line about what went to and came from the caches of others. */
export function summarizeCaches({ faults, transfers }: CacheCounts): string {
  const { sent, received, sendSaved, receiveSaved } = transfers;
  const parts = [
    `${formatBytes(received)} received${receiveSaved === 0 ? "" : ` (${formatBytes(receiveSaved)} were here)`}`,
    `${formatBytes(sent)} sent${sendSaved === 0 ? "" : ` (${formatBytes(sendSaved)} were there)`}`,
    ...(faults === 0 ? [] : [`${faults} ${faults === 1 ? "request" : "requests"} failed`]),
  ];
  return `cache: ${parts.join(", ")}`;
}
