import type { Cause, CausePlace, FileChanges } from "./miss-reason.ts";

/** Names that a line holds of one kind of change. */
const MOST_NAMES = 3;
/** Causes that a line holds. */
const MOST_CAUSES = 2;
/** Longer values are cut: characters. */
const VALUE_WIDTH = 60;
const DIGEST_WIDTH = 4;

/** Causes in one line; `stage` is of the step that missed. */
export function describeCauses(causes: readonly Cause[], stage: string): string {
  const shown = causes.slice(0, MOST_CAUSES).map((cause) => describeCause(cause, stage));
  const hidden = causes.length - shown.length;
  return [...shown, ...(hidden > 0 ? [`and ${hidden} more`] : [])].join("; ");
}

function describeCause(cause: Cause, stage: string): string {
  const place = describePlace(cause.at, stage);
  switch (cause.type) {
    case "instruction-changed":
      return `instruction changed${place}: ${quote(cause.before)} -> ${quote(cause.after)}`;
    case "instruction-added":
      return `instruction added${place}: ${quote(cause.after)}`;
    case "instruction-removed":
      return `instruction removed: ${quote(cause.before)}`;
    case "variable":
      return `${cause.kind} ${cause.name}${describeChange(cause.before, cause.after)}${place}`;
    case "option":
      return `${cause.name}${describeChange(cause.before, cause.after)}${place}`;
    case "files":
      return cause.files === undefined
        ? `files of ${quote(cause.source)} changed${place}`
        : describeFiles(cause.files, place);
    case "source":
      return `${cause.source} changed${place}: ${shortDigest(cause.before)} -> ${shortDigest(cause.after)}`;
    case "base":
      return describeBase(cause);
    case "result":
      return `${quote(cause.text)} ran again${place} with another result`;
    default:
      return cause satisfies never;
  }
}

function describePlace(at: CausePlace | undefined, stage: string): string {
  if (at === undefined) return "";
  return at.stage === stage || at.stage === "" ? ` in step ${at.position}` : ` in step ${at.position} of ${at.stage}`;
}

function describeChange(before: string | undefined, after: string | undefined): string {
  if (isHidden(before ?? after ?? "")) return " changed (value hidden)";
  if (before === undefined) return after === undefined ? " changed" : ` set to ${quote(after)}`;
  if (after === undefined) return ` no longer set (was ${quote(before)})`;
  return `: ${quote(before)} -> ${quote(after)}`;
}

function isHidden(value: string): boolean {
  return value.startsWith("hidden sha256:");
}

function describeFiles(files: FileChanges, place: string): string {
  const kinds = [
    [files.changed, "changed"],
    [files.added, "added"],
    [files.removed, "removed"],
    [files.ignored, "left out by the ignore file"],
    [files.modes, "with other permissions"],
  ] as const;
  const present = kinds.filter(([{ count }]) => count > 0);
  const [only] = present;
  if (present.length === 1 && only?.[0] === files.changed && files.changed.count === 1)
    return `${files.changed.names[0]} changed${place}`;
  return present
    .map(([{ count, names }, what], position) => {
      const shown = names.slice(0, MOST_NAMES);
      const list = [...shown, ...(shown.length < count ? ["…"] : [])].join(", ");
      return `${count} ${count === 1 ? "file" : "files"} ${what}${position === 0 ? place : ""}: ${list}`;
    })
    .join("; ");
}

function describeBase({ before, after }: Extract<Cause, { type: "base" }>): string {
  if (before.reference !== after.reference) return `base image changed: ${before.reference} -> ${after.reference}`;
  return `base image moved: ${after.reference} ${shortDigest(before.digest)} -> ${shortDigest(after.digest)}`;
}

function shortDigest(digest: string | undefined): string {
  if (digest === undefined) return "nothing";
  return `${digest.replace(/^sha256:/, "").slice(0, DIGEST_WIDTH)}…`;
}

/** On one line, and not longer than a line can bear. */
function quote(text: string): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  if (line === "") return '""';
  return line.length > VALUE_WIDTH ? `${line.slice(0, VALUE_WIDTH - 1)}…` : line;
}
