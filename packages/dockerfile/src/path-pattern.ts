/** True for a name that a pattern matches. */
export type NameMatcher = (name: string) => boolean;

/**
 * A matcher for one pattern in the form of Go's `filepath.Match`: `*` and `?` do not match "/", `[a-z]`, `[^a]`, and
 * `\` before a character that stands for itself. A pattern that is damaged matches nothing.
 */
export function createPathMatcher(pattern: string): NameMatcher {
  const source = patternSource(pattern, { doubleStar: false });
  if (source === undefined) return () => false;
  const expression = new RegExp(`^${source}$`, "su");
  return (name) => expression.test(name);
}

/**
 * A path pattern as the source of a regular expression; undefined for a damaged one. With `doubleStar`, `**` matches
 * any number of names: moby's patternmatcher.
 */
export function patternSource(pattern: string, { doubleStar }: { readonly doubleStar: boolean }): string | undefined {
  const characters = Array.from(pattern);
  let source = "";
  for (let position = 0; position < characters.length; position += 1) {
    const character = characters[position] ?? "";
    if (character === "*" && doubleStar && characters[position + 1] === "*") {
      position += 1;
      if (characters[position + 1] === "/") position += 1;
      source += position + 1 >= characters.length ? ".*" : "(?:.*/)?";
    } else if (character === "*") source += "[^/]*";
    else if (character === "?") source += "[^/]";
    else if (character === "[") {
      const parsed = parseClass(characters, position);
      if (parsed === undefined) return undefined;
      source += parsed.source;
      position = parsed.end;
    } else if (character === "\\") {
      position += 1;
      if (position >= characters.length) return undefined;
      source += quote(characters[position] ?? "");
    } else source += quote(character);
  }
  return source;
}

function quote(character: string): string {
  return /[\\^$.*+?()[\]{}|/]/.test(character) ? `\\${character}` : character;
}

function quoteInClass(character: string): string {
  return character === "-" ? "\\-" : quote(character);
}

function parseClass(
  characters: readonly string[],
  start: number,
): { readonly source: string; readonly end: number } | undefined {
  let position = start + 1;
  const negated = characters[position] === "^";
  if (negated) position += 1;
  let source = "";
  for (let count = 0; ; count += 1) {
    if (position >= characters.length) return undefined;
    if (characters[position] === "]" && count > 0) break;
    const low = classCharacter(characters, position);
    if (low === undefined) return undefined;
    position = low.next;
    source += quoteInClass(low.character);
    if (characters[position] !== "-") continue;
    const high = classCharacter(characters, position + 1);
    if (high === undefined || codePoint(high.character) < codePoint(low.character)) return undefined;
    source += `-${quoteInClass(high.character)}`;
    position = high.next;
  }
  return { source: `[${negated ? "^/" : ""}${source}]`, end: position };
}

function codePoint(character: string): number {
  return character.codePointAt(0) ?? 0;
}

function classCharacter(
  characters: readonly string[],
  position: number,
): { readonly character: string; readonly next: number } | undefined {
  const character = characters[position];
  if (character === undefined || character === "]" || character === "-") return undefined;
  if (character !== "\\") return { character, next: position + 1 };
  const escaped = characters[position + 1];
  return escaped === undefined ? undefined : { character: escaped, next: position + 2 };
}
