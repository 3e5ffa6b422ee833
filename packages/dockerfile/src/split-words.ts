import { isSpace, trimStart } from "./white-space.ts";

/**
 * `text` cut at white space outside quotes; quotes and escapes stay in the words. An escape character at the very end
 * is dropped.
 */
export function splitWords(text: string, escape: string): readonly string[] {
  const words: string[] = [];
  let word = "";
  let quote = "";
  const end = (): void => {
    if (word !== "") words.push(word);
    word = "";
  };
  for (let position = 0; position < text.length; position += 1) {
    const character = text[position] ?? "";
    if (quote === "" && isSpace(character)) {
      end();
      continue;
    }
    if (character === escape && quote !== "'") {
      const next = text[position + 1];
      if (next === undefined) break;
      word += character + next;
      position += 1;
      continue;
    }
    if (quote === "" && (character === '"' || character === "'")) quote = character;
    else if (character === quote) quote = "";
    word += character;
  }
  end();
  return words;
}

const NO_FLAGS: readonly string[] = [];

/** Flags at the start of `text` (`--name[=value]`, quotes and backslashes taken out), and what comes after them. */
export function splitFlags(text: string): { readonly flags: readonly string[]; readonly rest: string } {
  if (!text.includes("--")) return { flags: NO_FLAGS, rest: trimStart(text) };
  const flags: string[] = [];
  let position = 0;
  for (;;) {
    while (position < text.length && isSpace(text[position] ?? "")) position += 1;
    if (!text.startsWith("--", position)) return { flags, rest: text.slice(position) };
    const flag = readFlag(text, position);
    position = flag.end;
    if (flag.word === "--") return { flags, rest: text.slice(position) };
    flags.push(flag.word);
  }
}

/** A run of characters that mean nothing in a flag. */
const PLAIN = /[^\s\u0085'"\\]+/y;

function readFlag(text: string, start: number): { readonly word: string; readonly end: number } {
  let word = "";
  let quote = "";
  let position = start;
  for (; position < text.length; position += 1) {
    PLAIN.lastIndex = position;
    const plain = PLAIN.exec(text)?.[0] ?? "";
    word += plain;
    position += plain.length;
    const character = text[position] ?? "";
    if (quote === "" && isSpace(character)) break;
    if (quote === "" && (character === '"' || character === "'")) quote = character;
    else if (character === quote) quote = "";
    else if (character === "\\") {
      position += 1;
      word += text[position] ?? "";
    } else word += character;
  }
  return { word, end: position };
}
