import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { expandWord, expandWords, ExpansionError, type ExpandOptions } from "../src/expand-word.ts";

const VALUES: Readonly<Record<string, string>> = {
  x: "value",
  empty: "",
  path: "/usr/local/bin",
  file: "archive.tar.gz",
  spaced: "a  b",
  "1": "one",
  é: "accent",
};
const lookup = (name: string): string | undefined => (Object.hasOwn(VALUES, name) ? VALUES[name] : undefined);
const expand = (word: string, options: Partial<ExpandOptions> = {}): string => expandWord(word, { lookup, ...options });

describe("expandWord()", () => {
  test.each([
    ["$x", "value"],
    ["${x}", "value"],
    ["a$x.b", "avalue.b"],
    ["$xy", ""],
    ["${x}y", "valuey"],
    ["$x$x", "valuevalue"],
    ["$é", "accent"],
    ["$12", ""],
    ["$1", "one"],
    ["${1}", "one"],
    ["$unset", ""],
    ["${unset}", ""],
    ["$", "$"],
    ["a$ b", "a$ b"],
    ["$@", ""],
    ["$$x", "x"],
    ["$.", "$."],
    ["100%", "100%"],
  ])("replaces %s by %s", (word, expected) => {
    expect(expand(word)).toBe(expected);
  });

  test.each([
    ["${x:-d}", "value"],
    ["${empty:-d}", "d"],
    ["${unset:-d}", "d"],
    ["${x-d}", "value"],
    ["${empty-d}", ""],
    ["${unset-d}", "d"],
    ["${unset:-}", ""],
    ["${unset:-$x}", "value"],
    ["${unset:-${unset:-${x}}}", "value"],
    ["${unset:-a:b}", "a:b"],
    ["${unset:-'}'}", "}"],
    ['${unset:-"a b"}', "a b"],
    ["${x:+d}", "d"],
    ["${empty:+d}", ""],
    ["${unset:+d}", ""],
    ["${x+d}", "d"],
    ["${empty+d}", "d"],
    ["${unset+d}", ""],
    ["${x:+$path}", "/usr/local/bin"],
    ["${x:?m}", "value"],
    ["${x?m}", "value"],
    ["${empty?m}", ""],
  ])("chooses: %s is %s", (word, expected) => {
    expect(expand(word)).toBe(expected);
  });

  test.each([
    ["${path#/}", "usr/local/bin"],
    ["${path#*/}", "usr/local/bin"],
    ["${path##*/}", "bin"],
    ["${path#/usr}", "/local/bin"],
    ["${path#nothing}", "/usr/local/bin"],
    ["${path#????}", "/local/bin"],
    ["${path%/*}", "/usr/local"],
    ["${path%%/*}", ""],
    ["${path%bin}", "/usr/local/"],
    ["${path%nothing}", "/usr/local/bin"],
    ["${file%.*}", "archive.tar"],
    ["${file%%.*}", "archive"],
    ["${file##*.}", "gz"],
    ["${file#*.}", "tar.gz"],
    ["${file#$x}", "archive.tar.gz"],
    ["${unset#a}", ""],
    ["${file#archive\\.}", "tar.gz"],
    ["${path/l/L}", "/usr/Local/bin"],
    ["${path//l/L}", "/usr/LocaL/bin"],
    ["${path//\\//-}", "-usr-local-bin"],
    ["${path/\\//}", "usr/local/bin"],
    ["${file/t*r/zip}", "archive.zip.gz"],
    ["${file//./}", "archivetargz"],
    ["${file/nothing/x}", "archive.tar.gz"],
    ["${file/?/A}", "Archive.tar.gz"],
    ["${file//*/all}", "all"],
    ["${unset/a/b}", ""],
    ["${x/v/$path}", "/usr/local/binalue"],
  ])("cuts and replaces: %s is %s", (word, expected) => {
    expect(expand(word)).toBe(expected);
  });

  test.each([
    ["'$x'", "$x"],
    ['"$x"', "value"],
    ['"${x}"', "value"],
    ["'a b'", "a b"],
    ['"a\\"b"', 'a"b'],
    ['"a\\nb"', "a\\nb"],
    ['"\\$x"', "$x"],
    ['"\\\\"', "\\"],
    ["\\$x", "$x"],
    ["\\a", "a"],
    ["\\\\", "\\"],
    ["a\\", "a"],
    ["'\\'", "\\"],
    [`a'b'"c"`, "abc"],
    [`"it's"`, "it's"],
    [`'say "hi"'`, 'say "hi"'],
    ["''", ""],
    ['"$"', "$"],
  ])("unquotes %s to %s", (word, expected) => {
    expect(expand(word)).toBe(expected);
  });

  test.each([
    ["`$x", "$x"],
    ["C:\\$x", "C:\\value"],
    ['"`""', '"'],
    ["'`'", "`"],
  ])("with a backtick as escape, %s is %s", (word, expected) => {
    expect(expand(word, { escape: "`" })).toBe(expected);
  });

  test.each([
    ["'$x' \"$x\"", "'value' \"value\""],
    ["it's \\$x", "it's $x"],
  ])("with literal quotes, %s is %s", (word, expected) => {
    expect(expand(word, { literalQuotes: true })).toBe(expected);
  });

  test("keeps quotes and escapes where it is asked to", () => {
    expect(expand(`'a' "b" \\c`, { rawQuotes: true, rawEscapes: true })).toBe(`'a' "b" \\c`);
  });

  test.each([
    ["${empty:?no value}", "empty: no value"],
    ["${unset:?}", "unset: is not allowed to be unset"],
    ["${unset?no value}", "unset: no value"],
    ["${empty:?}", "empty: is not allowed to be empty"],
    ["${", "missing '}'"],
    ["${x", "missing '}'"],
    ["${x:", "missing '}'"],
    ["${x:-a", "unexpected end of statement while looking for matching }"],
    ["${}", "bad substitution"],
    ["${:-a}", "bad substitution"],
    ["${x:=a}", "unsupported modifier (:=) in substitution"],
    ["${x^}", "unsupported modifier (^) in substitution"],
    ["${x/a}", "unexpected end of statement while looking for matching /"],
    ["'a", "matching single-quote"],
    ['"a', "matching double-quote"],
  ])("refuses %s", (word, message) => {
    expect(() => expand(word)).toThrow(ExpansionError);
    expect(() => expand(word)).toThrow(message);
  });

  test("refuses substitutions that are nested too deeply", () => {
    expect(() => expand("${unset:-".repeat(100_000))).toThrow(ExpansionError);
  });

  test("tells of variables that are not set and have no default", () => {
    const names: string[] = [];
    expand("$a ${b} ${c:-d} ${e+f} $x ${g#h}", { onUndefined: (name) => names.push(name) });
    expect(names).toEqual(["a", "b", "g"]);
  });

  test("leaves words without dollars, quotes and escapes as they are", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        const plain = text.replaceAll(/[$'"\\]/g, "");
        expect(expand(plain)).toBe(plain);
      }),
    );
  });

  test("gives back what was quoted", () => {
    const single = (text: string): string => `'${text.replaceAll("'", `'"'"'`)}'`;
    const double = (text: string): string => `"${text.replaceAll(/["$\\]/g, String.raw`\$&`)}"`;
    const escaped = (text: string): string => Array.from(text, (character) => `\\${character}`).join("");
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        for (const quote of [single, double, escaped]) expect(expand(quote(text))).toBe(text);
      }),
    );
  });

  test("joins the parts of a word: expanding a concatenation concatenates", () => {
    const part = fc.oneof(
      fc.constantFrom("$x", "${x}", "${unset:-d}", "'q q'", '"$x"', "\\$"),
      fc.string({ unit: fc.constantFrom(".", "/", "-") }),
    );
    fc.assert(
      fc.property(fc.array(part), (parts) => {
        expect(expand(parts.join("."))).toBe(parts.map((text) => expand(text)).join("."));
      }),
    );
  });
});

describe("expandWords()", () => {
  test.each([
    ["a b", ["a", "b"]],
    ["  a   b  ", ["a", "b"]],
    ["$spaced", ["a", "b"]],
    ['"$spaced"', ["a  b"]],
    ["x$spaced", ["xa", "b"]],
    ["a\\ b", ["a b"]],
    ["'' a", ["", "a"]],
    ["$unset", []],
    ["", []],
    ["'a b'c d", ["a bc", "d"]],
  ])("cuts %s into %j", (text, expected) => {
    expect(expandWords(text, { lookup })).toEqual(expected);
  });
});
