/** Unicode's White_Space property, which decides where words end; JavaScript's `\s` differs in U+0085 and U+FEFF. */
const SPACE = "\\t\\n\\v\\f\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const ONE = new RegExp(`^[${SPACE}]$`);
const LEADING = new RegExp(`^[${SPACE}]+`);
const TRAILING_SPACE = new Set("\t\n\v\f\r \u0085\u00a0\u1680\u2028\u2029\u202f\u205f\u3000");

/** True for one white-space character. */
export function isSpace(character: string): boolean {
  return character === " " || character === "\t" || ONE.test(character);
}

/** `text` without white space at its start. */
export function trimStart(text: string): string {
  return text.replace(LEADING, "");
}

/** `text` without white space at its ends. */
export function trim(text: string): string {
  let end = text.length;
  while (end > 0 && isTrailing(text[end - 1] ?? "")) end -= 1;
  return trimStart(text.slice(0, end));
}

function isTrailing(character: string): boolean {
  return TRAILING_SPACE.has(character) || (character >= "\u2000" && character <= "\u200a");
}
