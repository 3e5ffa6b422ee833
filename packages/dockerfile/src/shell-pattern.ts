/** A part of a shell pattern that takes one character. */
type Single = { readonly kind: "character"; readonly value: string } | { readonly kind: "one" };

/** A part of a shell pattern: a character, any one character, or any number of them. */
type Piece = Single | { readonly kind: "many" };

/** How many characters at the start of `value` the pattern takes: the fewest, or the most. 0 where it matches nothing. */
export function matchPrefix(value: string, pattern: string, { longest }: { readonly longest: boolean }): number {
  const lengths = prefixLengths(Array.from(value), parsePattern(pattern));
  const chosen = longest ? lengths.at(-1) : lengths[0];
  return chosen === undefined ? 0 : unitsOf(Array.from(value).slice(0, chosen));
}

/** Where the part at the end of `value` starts that the pattern takes; its length where it matches nothing. */
export function matchSuffix(value: string, pattern: string, { longest }: { readonly longest: boolean }): number {
  const reversed = Array.from(value).toReversed();
  const lengths = prefixLengths(reversed, parsePattern(pattern).toReversed());
  const chosen = longest ? lengths.at(-1) : lengths[0];
  return chosen === undefined ? value.length : value.length - unitsOf(reversed.slice(0, chosen));
}

/**
 * `value` with the first match, or all, replaced; of several matches at one place the longest. An empty match right
 * after another one does not count, as in Go.
 */
export function replacePattern(
  value: string,
  pattern: string,
  { replacement, all }: { readonly replacement: string; readonly all: boolean },
): string {
  const characters = Array.from(value);
  const runs = splitAtStars(parsePattern(pattern));
  const parts: string[] = [];
  let copied = 0;
  let from = 0;
  let match = findMatch(characters, runs, from);
  while (match !== undefined) {
    const isEmpty = match.end === match.start;
    if (!isEmpty || match.end !== copied || parts.length === 0) {
      parts.push(characters.slice(copied, match.start).join(""), replacement);
      copied = match.end;
      if (!all) break;
    }
    from = isEmpty ? match.end + 1 : match.end;
    match = findMatch(characters, runs, from);
  }
  return parts.join("") + characters.slice(copied).join("");
}

/** The pieces between the stars; n stars make n + 1 runs. */
function splitAtStars(pieces: readonly Piece[]): readonly (readonly Single[])[] {
  const runs: Single[][] = [[]];
  for (const piece of pieces) {
    if (piece.kind === "many") runs.push([]);
    else runs.at(-1)?.push(piece);
  }
  return runs;
}

/**
 * The leftmost match from `from` on, as long as can be. Between stars the first place of a run is as good as any other,
 * and a later start leaves no more room than an earlier one: nothing is tried twice.
 */
function findMatch(
  characters: readonly string[],
  runs: readonly (readonly Single[])[],
  from: number,
): { readonly start: number; readonly end: number } | undefined {
  const [first = [], ...others] = runs;
  const start = findRun(characters, first, from);
  if (start === undefined) return undefined;
  const last = others.pop();
  if (last === undefined) return { start, end: start + first.length };
  let end = start + first.length;
  for (const run of others) {
    const found = findRun(characters, run, end);
    if (found === undefined) return undefined;
    end = found + run.length;
  }
  for (let place = characters.length - last.length; place >= end; place -= 1) {
    if (matchesAt(characters, last, place)) return { start, end: place + last.length };
  }
  return undefined;
}

function findRun(characters: readonly string[], run: readonly Single[], from: number): number | undefined {
  for (let place = from; place + run.length <= characters.length; place += 1) {
    if (matchesAt(characters, run, place)) return place;
  }
  return undefined;
}

function matchesAt(characters: readonly string[], run: readonly Single[], place: number): boolean {
  return run.every((piece, offset) => piece.kind === "one" || piece.value === characters[place + offset]);
}

function unitsOf(characters: readonly string[]): number {
  return characters.reduce((sum, character) => sum + character.length, 0);
}

function parsePattern(pattern: string): Piece[] {
  const pieces: Piece[] = [];
  const characters = Array.from(pattern);
  for (let position = 0; position < characters.length; position += 1) {
    const character = characters[position] ?? "";
    if (character === "*") pieces.push({ kind: "many" });
    else if (character === "?") pieces.push({ kind: "one" });
    else if (character === "\\" && position + 1 < characters.length)
      pieces.push({ kind: "character", value: characters[(position += 1)] ?? "" });
    else pieces.push({ kind: "character", value: character });
  }
  return pieces;
}

/** All n, ascending, for which the pieces match the first n characters: one pass over the pieces. */
function prefixLengths(characters: readonly string[], pieces: readonly Piece[]): number[] {
  let reached = new Uint8Array(characters.length + 1);
  reached[0] = 1;
  for (const piece of pieces) {
    const next = new Uint8Array(characters.length + 1);
    let any = 0;
    for (let length = 0; length <= characters.length; length += 1) {
      if (piece.kind === "many") {
        any |= reached[length] ?? 0;
        next[length] = any;
      } else if (
        length > 0 &&
        reached[length - 1] === 1 &&
        (piece.kind === "one" || piece.value === characters[length - 1])
      )
        next[length] = 1;
    }
    reached = next;
  }
  return Array.from(reached.keys()).filter((length) => reached[length] === 1);
}
