/** Sizes and times as Docker's tables write them: go-units. */

const SIZES = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Bytes with three digits: `0B`, `1.98MB`. */
export function dockerSize(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= 1000 && unit < SIZES.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${Number(value.toPrecision(3))}${SIZES[unit]}`;
}

/** Before it dates are taken for a build's epoch, not for the time of the build: milliseconds since 1970. */
const EPOCH = Date.UTC(2000, 0, 1);

/** How long ago, such as `About an hour ago`; `N/A` for what has no date of its own. `now` in milliseconds since 1970. */
export function dockerSince(created: string | undefined, now: number): string {
  const time = created === undefined ? Number.NaN : Date.parse(created);
  return Number.isNaN(time) || time <= EPOCH ? "N/A" : `${dockerDuration(now - time)} ago`;
}

/** Milliseconds as go-units' HumanDuration has them. */
export function dockerDuration(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.floor(seconds / 60);
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  return hours(Math.floor(milliseconds / 3_600_000 + 0.5));
}

function hours(count: number): string {
  const [day, week, month, year] = [24, 24 * 7, 24 * 30, 24 * 365] as const;
  if (count === 1) return "About an hour";
  if (count < 48) return `${count} hours`;
  if (count < week * 2) return `${Math.floor(count / day)} days`;
  if (count < month * 2) return `${Math.floor(count / week)} weeks`;
  if (count < year * 2) return `${Math.floor(count / month)} months`;
  return `${Math.floor(count / year)} years`;
}

/** RFC 3339 in this machine's time zone, without fractions. */
export function dockerTime(created: string | undefined): string {
  const time = new Date(created ?? 0);
  if (Number.isNaN(time.getTime())) return created ?? "";
  const offset = -time.getTimezoneOffset();
  const local = new Date(time.getTime() + offset * 60_000).toISOString().slice(0, 19);
  if (offset === 0) return `${local}Z`;
  const pad = (value: number): string => String(value).padStart(2, "0");
  return `${local}${offset < 0 ? "-" : "+"}${pad(Math.floor(Math.abs(offset) / 60))}:${pad(Math.abs(offset) % 60)}`;
}

/** `text` in at most `width` columns. */
export function ellipsis(text: string, width: number): string {
  const characters = [...text];
  return characters.length <= width ? text : `${characters.slice(0, width - 1).join("")}…`;
}

/** The 12 hex digits of a digest that people are shown. */
export function shortId(digest: string): string {
  return digest.replace(/^sha256:/, "").slice(0, 12);
}
