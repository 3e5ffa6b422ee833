/** A part of a shell pattern: a character, any one character, or any number of them. */
type Piece =
  | { readonly kind: "character"; readonly value: string }
  | { readonly kind: "one" }
  | { readonly kind: "many" };

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

/** `value` with the first match, or all, replaced; of several matches at one place the longest. */
export function replacePattern(
  value: string,
  pattern: string,
  { replacement, all }: { readonly replacement: string; readonly all: boolean },
): string {
  const source = parsePattern(pattern)
    .map((piece) =>
      piece.kind === "character"
        ? piece.value.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`)
        : piece.kind === "one"
          ? "."
          : ".*",
    )
    .join("");
  return value.replace(new RegExp(source, all ? "gsu" : "su"), () => replacement);
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
