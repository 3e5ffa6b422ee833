const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** `1.5 MB`, in powers of 1000. */
export function formatBytes(bytes: number): string {
  const step = bytes < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** step;
  return `${value.toFixed(step === 0 || value >= 100 ? 0 : 1)} ${UNITS[step]}`;
}

/** Milliseconds as `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `4 d 3 h`. */
export function formatTime(time: number): string {
  const seconds = time / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const [large, small, unit] =
    seconds < 3600 ? [60, 1, "min s"] : seconds < 86_400 ? [3600, 60, "h min"] : [86_400, 3600, "d h"];
  const [first, second] = unit.split(" ");
  const whole = Math.floor(seconds / large);
  const rest = Math.floor((seconds - whole * large) / small);
  return rest === 0 ? `${whole} ${first}` : `${whole} ${first} ${rest} ${second}`;
}

/** `87 %`; a dash where there is nothing to tell. */
export function formatShare(share: number | undefined): string {
  if (share === undefined) return "–";
  const percent = share * 100;
  return `${percent > 0 && percent < 10 ? percent.toFixed(1) : Math.floor(percent)} %`;
}

/** `12,345`. */
export function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}

/** How long `time` was before `now`, both RFC 3339. */
export function formatAgo(time: string, now: string): string {
  const passed = Math.max(0, Date.parse(now) - Date.parse(time));
  return passed < 5000 ? "now" : `${formatTime(passed).split(" ").slice(0, 2).join(" ")} ago`;
}
