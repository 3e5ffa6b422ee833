import type { CacheCounts } from "@varve/cache";
import { formatBytes, formatSeconds } from "./progress/progress.ts";

/** One line about what the caches of others did for a build. */
export function summarizeCaches({ remote, waited, faults, timeSaved, transfers }: CacheCounts): string {
  const { sent, received, sendSaved, receiveSaved } = transfers;
  const parts = [
    `${remote} found`,
    ...(waited === 0 ? [] : [`${waited} waited for`]),
    `${formatBytes(received)} received${receiveSaved === 0 ? "" : ` (${formatBytes(receiveSaved)} were here)`}`,
    `${formatBytes(sent)} sent${sendSaved === 0 ? "" : ` (${formatBytes(sendSaved)} were there)`}`,
    ...(timeSaved === 0 ? [] : [`${formatSeconds(timeSaved)} saved`]),
    ...(faults === 0 ? [] : [`${faults} ${faults === 1 ? "request" : "requests"} failed`]),
  ];
  return `cache: ${parts.join(", ")}`;
}
