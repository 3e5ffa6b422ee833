import type { Report } from "./check-rules.ts";
import type { IgnoreMatcher } from "./dockerignore.ts";
import type { AddInstruction, CopyInstruction } from "./instruction.ts";

const ALL = ["*", "**", "**/*"];

/**
 * Reports sources of a COPY or ADD, its variables replaced already, that the ignore file leaves out. An ignore file
 * that includes something again is not judged, as in BuildKit: it may include what is in an excluded directory.
 */
export function checkIgnored(
  instruction: CopyInstruction | AddInstruction,
  { ignore, report }: { readonly ignore: IgnoreMatcher | undefined; readonly report: Report },
): void {
  if (ignore === undefined || ignore.patterns.some(({ negated }) => negated)) return;
  if (instruction.kind === "COPY" && instruction.from !== undefined) return;
  const verb = instruction.kind === "ADD" ? "Add" : "Copy";
  for (const source of instruction.sources) {
    if (source.kind !== "word" || /^[a-z]+:\/\//i.test(source.word)) continue;
    const path = cleanPath(source.word);
    const isRoot = path === "." || path === "/";
    const excluded = isRoot
      ? ignore.patterns.some(({ pattern }) => ALL.includes(pattern))
      : ignore.matches(path).excluded;
    if (!excluded) continue;
    const message = `Attempting to ${verb} file "${path}" that is excluded by .dockerignore`;
    report("CopyIgnoredFile", instruction.location, message);
  }
}

/** As Go's `filepath.Clean` has it. */
function cleanPath(path: string): string {
  const names: string[] = [];
  const isAbsolute = path.startsWith("/");
  for (const name of path.split("/")) {
    if (name === "" || name === ".") continue;
    if (name !== "..") names.push(name);
    else if (names.length > 0 && names.at(-1) !== "..") names.pop();
    else if (!isAbsolute) names.push(name);
  }
  return (isAbsolute ? "/" : "") + names.join("/") || ".";
}
