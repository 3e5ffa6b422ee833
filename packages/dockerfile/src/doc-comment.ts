import { trim } from "./white-space.ts";

/**
 * What the comment right above line `line` (counted from 1) says of `name`: the rest of its first line that begins with
 * that name; "" where there is none. Docker build checks, InvalidDefinitionDescription.
 */
export function docComment(lines: readonly string[], line: number, name: string): string {
  let found = "";
  for (let number = line - 1; number >= 1; number -= 1) {
    const text = trim(lines[number - 1] ?? "");
    if (!text.startsWith("#")) break;
    const comment = trim(text.slice(1));
    if (comment.startsWith(`${name} `)) found = trim(comment.slice(name.length));
  }
  return found;
}
