import { expandWords } from "./expand-word.ts";
import type { HeredocStart } from "./read-lines.ts";

const NO_STARTS: readonly HeredocStart[] = [];
const START = /^(\d*)<<(-?)([^<]+)$/;

/** Where `line` starts heredocs: words of the form `[fd]<<[-]NAME`; quotes in the name turn expansion off. */
export function findHeredocs(line: string): readonly HeredocStart[] {
  if (!line.includes("<<")) return NO_STARTS;
  return rawWords(line).flatMap((word) => {
    const start = parseHeredocStart(word);
    return start === undefined ? [] : [start];
  });
}

/** `word` as the start of a heredoc; undefined where it is none. */
export function parseHeredocStart(word: string): HeredocStart | undefined {
  const match = START.exec(word);
  if (match === null) return undefined;
  const [, descriptor = "", dash = "", rest = ""] = match;
  const name = nameOf(rest);
  if (name === undefined) return undefined;
  return {
    name,
    expand: !/['"\\]/.test(rest),
    chomp: dash === "-",
    fileDescriptor: descriptor === "" ? 0 : Number(descriptor),
  };
}

function rawWords(line: string): readonly string[] {
  try {
    return expandWords(line, { lookup: (name) => `\${${name}}`, rawQuotes: true, rawEscapes: true });
  } catch {
    return [];
  }
}

/** One word, which may be quoted. */
function nameOf(rest: string): string | undefined {
  try {
    const [name = "", ...others] = expandWords(rest, { lookup: (variable) => `\${${variable}}` });
    return name === "" || others.length > 0 ? undefined : name;
  } catch {
    return undefined;
  }
}
