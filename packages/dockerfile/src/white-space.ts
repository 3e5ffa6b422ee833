/** Unicode's White_Space property, which decides where words end; JavaScript's `\s` differs in U+0085 and U+FEFF. */
const SPACE = "\\t\\n\\v\\f\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const ONE = new RegExp(`^[${SPACE}]$`);
const LEADING = new RegExp(`^[${SPACE}]+`);

/** True for one white-space character. */
export function isSpace(character: string): boolean {
  const code = character.charCodeAt(0);
  return code < 0x80 ? code === 0x20 || (code >= 9 && code <= 13) : ONE.test(character);
}

/** `text` without white space at its start. */
export function trimStart(text: string): string {
  return isSpace(text.charAt(0)) ? text.replace(LEADING, "") : text;
}

/** `text` without white space at its ends. */
export function trim(text: string): string {
  let end = text.length;
  while (end > 0 && isSpace(text.charAt(end - 1))) end -= 1;
  return trimStart(text.slice(0, end));
}
