import type { Location } from "./location.ts";

/** A place in the text: line and column count from 1. */
interface Mark {
  readonly line: number;
  readonly column: number;
}

/** The lines of `text` that `location` means, numbered, with a marker under the first `word` that stands in them. */
export function formatSource(text: string, location: Location, word?: string): string {
  const lines = text.replace(/\r?\n$/, "").split(/\r?\n/);
  const first = Math.max(1, location.line - 2);
  const last = Math.min(lines.length, Math.min(location.endLine, location.line + 9) + 2);
  const width = String(last).length;
  const mark = word === undefined ? undefined : findWord(lines, word, location);
  const shown: string[] = [];
  for (let number = first; number <= last; number += 1) {
    const line = lines[number - 1] ?? "";
    const inside = number >= location.line && number <= location.endLine;
    shown.push(`${inside ? ">>>" : "   "} ${String(number).padStart(width)} | ${line}`.trimEnd());
    if (mark?.line !== number) continue;
    // Tabs stay, so that the marker stands under the word however wide they are shown.
    const before = line.slice(0, mark.column - 1).replaceAll(/[^\t]/g, " ");
    shown.push(`    ${" ".repeat(width)} | ${before}${"^".repeat(word?.length ?? 1)}`);
  }
  return shown.join("\n");
}

/** Whole words first, then parts of words. */
function findWord(lines: readonly string[], word: string, location: Location): Mark | undefined {
  if (word === "" || word.includes("\n")) return undefined;
  const find = (isMatch: (line: string, column: number) => boolean): Mark | undefined => {
    for (let number = location.line; number <= location.endLine; number += 1) {
      const line = lines[number - 1] ?? "";
      for (let at = line.indexOf(word); at >= 0; at = line.indexOf(word, at + 1))
        if (isMatch(line, at)) return { line: number, column: at + 1 };
    }
    return undefined;
  };
  const isLetter = (character: string | undefined): boolean =>
    character !== undefined && /[\p{L}\p{N}_]/u.test(character);
  const whole = find((line, at) => !isLetter(line[at - 1]) && !isLetter(line[at + word.length]));
  return whole ?? find(() => true);
}
