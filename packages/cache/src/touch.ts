import { statSync, utimesSync } from "node:fs";

/** How often a use is written down: hours are enough to tell what is old. Milliseconds. */
export const USE_GRANULARITY = 3_600_000;

/** Notes that a file or directory of the store is used: its time is when it was last used, to the hour. */
export function touch(path: string): void {
  try {
    const now = Date.now();
    if (now - statSync(path).mtimeMs > USE_GRANULARITY) utimesSync(path, now / 1000, now / 1000);
  } catch {
    // Not there: nothing to remember.
  }
}
