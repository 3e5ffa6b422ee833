import type { Location } from "./location.ts";

/** The lines of `text` that `location` means, numbered, with a marker under the words where their column is known. */
export function formatSource(text: string, location: Location): string {
  const lines = text.split(/\r?\n/);
  const first = Math.max(1, location.line - 2);
  const last = Math.min(lines.length, Math.min(location.endLine, location.line + 9) + 2);
  const width = String(last).length;
  const shown: string[] = [];
  for (let number = first; number <= last; number += 1) {
    const inside = number >= location.line && number <= location.endLine;
    shown.push(`${inside ? ">>>" : "   "} ${String(number).padStart(width)} | ${lines[number - 1] ?? ""}`.trimEnd());
    if (number === location.line && location.column !== undefined) {
      shown.push(
        `    ${" ".repeat(width)} | ${" ".repeat(location.column - 1)}${"^".repeat(Math.max(1, location.length ?? 1))}`,
      );
    }
  }
  return shown.join("\n");
}
