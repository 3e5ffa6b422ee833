/** Laws of expansion and of cutting words, over words that are put together at random. */
import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { expandWord, expandWords, ExpansionError } from "../src/expand-word.ts";
import { splitWords } from "../src/split-words.ts";

const VALUES: Readonly<Record<string, string>> = {
  x: "aabb",
  y: "a.b-ab",
  empty: "",
  star: "a*b",
  long: "ab".repeat(10),
};
const lookup = (name: string): string | undefined => VALUES[name];
const expand = (word: string): string => expandWord(word, { lookup });

/** Words that expand to themselves. */
const plain = fc.string({ unit: fc.constantFrom("a", "b", ".", "-"), maxLength: 4 });
const pattern = fc.string({ unit: fc.constantFrom("a", "b", ".", "*", "?"), minLength: 1, maxLength: 4 });
const name = fc.constantFrom("x", "y", "empty", "star", "long", "unset");

/** In an empty value bash replaces nothing; Go, and so BuildKit, what matches emptiness. */
const filled = fc.constantFrom("x", "y", "star", "long");

/** All that a Dockerfile has of bash's parameter expansion, in bash's spelling. Nested at most three times. */
const word = fc.letrec<{ word: string; substitution: string }>((tie) => ({
  word: fc
    .array(fc.oneof({ maxDepth: 3 }, plain, tie("substitution")), { maxLength: 3 })
    .map((parts) => parts.join("")),
  substitution: fc.oneof(
    name.map((variable) => `\${${variable}}`),
    fc
      .tuple(name, fc.constantFrom(":-", "-", ":+", "+"), tie("word"))
      .map(([variable, operator, other]) => `\${${variable}${operator}${other}}`),
    fc
      .tuple(name, fc.constantFrom("#", "##", "%", "%%"), pattern)
      .map(([variable, operator, cut]) => `\${${variable}${operator}${cut}}`),
    fc
      .tuple(filled, fc.constantFrom("/", "//"), pattern, plain)
      .map(([variable, operator, from, to]) => `\${${variable}${operator}${from}/${to}}`),
  ),
})).word;

/** Any text as one word, in the ways in which people quote. */
const QUOTES: readonly ((text: string) => string)[] = [
  (text) => `'${text.replaceAll("'", `'"'"'`)}'`,
  (text) => `"${text.replaceAll(/["$\\]/g, String.raw`\$&`)}"`,
];
const quote = fc.constantFrom(...QUOTES);

describe("expandWord()", () => {
  test("gives what bash gives", () => {
    const words = fc.sample(word, { numRuns: 2000, seed: Date.now() % 100_000 });
    const settings = Object.entries(VALUES).map(([variable, value]) => `${variable}='${value}'`);
    const script = [...settings, ...words.map((text) => `printf '%s\\n' "${text}"`)].join("\n");
    const answers = execFileSync("bash", ["--norc"], { input: script, encoding: "utf8", env: {} }).split("\n");
    for (const [index, text] of words.entries()) expect([text, expand(text)]).toEqual([text, answers[index]]);
  });

  test("has nothing left to do on its own result, once that is quoted", () => {
    fc.assert(
      fc.property(word, quote, (text, quoted) => {
        const once = expand(text);
        expect(expand(quoted(once))).toBe(once);
      }),
    );
  });

  test.each(["\\", "`"])("takes the escape %s before any character as that character", (escape) => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        const escaped = Array.from(text, (character) => escape + character).join("");
        expect(expandWord(escaped, { lookup, escape })).toBe(text);
      }),
    );
  });

  test("chooses by whether a variable is set, with a colon also by whether it is empty", () => {
    fc.assert(
      fc.property(fc.option(plain, { nil: undefined }), plain, (value, other) => {
        const to = (text: string): string => expandWord(text, { lookup: () => value });
        expect(to(`\${v-${other}}`)).toBe(value ?? other);
        expect(to(`\${v:-${other}}`)).toBe(value === undefined || value === "" ? other : value);
        expect(to(`\${v+${other}}`)).toBe(value === undefined ? "" : other);
        expect(to(`\${v:+${other}}`)).toBe(value === undefined || value === "" ? "" : other);
        const required = (text: string): string | undefined => {
          try {
            return to(text);
          } catch (error) {
            expect(error).toBeInstanceOf(ExpansionError);
            return undefined;
          }
        };
        expect(required(`\${v?${other}}`)).toBe(value);
        expect(required(`\${v:?${other}}`)).toBe(value === "" ? undefined : value);
      }),
    );
  });

  test("cuts at most what is there: a prefix and a suffix of the value", () => {
    fc.assert(
      fc.property(name, pattern, (variable, cut) => {
        const value = expand(`\${${variable}}`);
        const [short, long] = [expand(`\${${variable}#${cut}}`), expand(`\${${variable}##${cut}}`)];
        expect(value.endsWith(short) && short.endsWith(long)).toBe(true);
        const [front, less] = [expand(`\${${variable}%${cut}}`), expand(`\${${variable}%%${cut}}`)];
        expect(value.startsWith(front) && front.startsWith(less)).toBe(true);
      }),
    );
  });
});

describe("expandWords(), splitWords()", () => {
  const texts = fc.array(fc.tuple(fc.string({ unit: "binary" }), quote), { maxLength: 5 });
  const space = fc.constantFrom(" ", "\t", "  ", " \t ", "\n");

  test("give back words that were quoted, whatever is in them", () => {
    fc.assert(
      fc.property(texts, space, (words, between) => {
        const line = words.map(([text, quoted]) => quoted(text)).join(between);
        expect(expandWords(line, { lookup })).toEqual(words.map(([text]) => text));
        expect(splitWords(line, "\\")).toEqual(words.map(([text, quoted]) => quoted(text)));
      }),
    );
  });

  test("lose nothing but white space", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", "'", '"', "\\\\", "\\'", " ", "$") }), (line) => {
        const words = splitWords(line, "\\");
        expect(words.join("").replaceAll(" ", "")).toBe(line.replaceAll(" ", ""));
        expect(words.flatMap((text) => splitWords(text, "\\"))).toEqual(words);
      }),
    );
  });
});
