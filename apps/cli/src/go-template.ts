import { nearest } from "@varve/dockerfile";
import { UsageError } from "./errors.ts";

type Value = unknown;
/** What `range` and `with` change is the dot. */
type Render = (dot: Value, root: Value) => string;
type Evaluate = (dot: Value, root: Value) => Value;

/** A part of a template: text, or what stands in braces. */
interface Token {
  readonly action: boolean;
  readonly text: string;
}

/**
 * Compiles the part of Go's text/template that `--format` is used with: fields (`.Config.Env`), `range`, `if`, `with`,
 * `else`, `end`, pipes, and the functions of FUNCTIONS below.
 * @throws UsageError for what is none, and while rendering for a field that the value does not have.
 */
export function compileTemplate(source: string): (value: Value) => string {
  const tokens = tokenize(source);
  const { render, rest } = parseList(tokens, source);
  if (rest.length > 0) throw invalid(source, `"${rest[0]?.text}" has nothing before it that it could end`);
  return (value) => render(value, value);
}

function invalid(source: string, reason: string): UsageError {
  return new UsageError(`Cannot use template "${source}": ${reason}`);
}

function tokenize(source: string): readonly Token[] {
  const tokens: Token[] = [];
  let at = 0;
  for (const match of source.matchAll(
    /\{\{(-\s)?\s*((?:"(?:[^"\\]|\\.)*"|`[^`]*`|(?!\}\}|\s-\}\})[^])*?)\s*(\s-)?\}\}/g,
  )) {
    const before = source.slice(at, match.index);
    tokens.push({ action: false, text: match[1] === undefined ? before : before.trimEnd() });
    tokens.push({ action: true, text: (match[2] ?? "").trim() });
    at = match.index + match[0].length;
    if (match[3] !== undefined) at += /^\s*/.exec(source.slice(at))?.[0].length ?? 0;
  }
  const last = source.slice(at);
  if (last.includes("{{")) throw invalid(source, 'an action is not closed by "}}"');
  return [...tokens, { action: false, text: last }];
}

interface Parsed {
  readonly render: Render;
  /** From the `else` or `end` on that ended the list. */
  readonly rest: readonly Token[];
}

function parseList(tokens: readonly Token[], source: string): Parsed {
  const parts: Render[] = [];
  let rest = tokens;
  while (rest.length > 0) {
    const [token, ...others] = rest;
    if (token === undefined || (token.action && /^(?:end|else)\b/.test(token.text))) break;
    rest = others;
    if (!token.action) parts.push(() => token.text);
    else if (/^(?:range|if|with)\s/.test(token.text)) {
      const block = parseBlock(token.text, others, source);
      parts.push(block.render);
      rest = block.rest;
    } else if (!token.text.startsWith("/*")) {
      const evaluate = parsePipeline(token.text, source);
      parts.push((dot, root) => formatGo(evaluate(dot, root)));
    }
  }
  return { render: (dot, root) => parts.map((part) => part(dot, root)).join(""), rest };
}

function parseBlock(opening: string, tokens: readonly Token[], source: string): Parsed {
  const [, word = "", pipeline = ""] = /^(\w+)\s+(.*)$/s.exec(opening) ?? [];
  const evaluate = parsePipeline(pipeline, source);
  const body = parseList(tokens, source);
  const isElse = body.rest[0]?.text === "else";
  const otherwise = isElse ? parseList(body.rest.slice(1), source) : { render: () => "", rest: body.rest };
  if (otherwise.rest[0]?.text !== "end") throw invalid(source, `"${opening}" has no "{{end}}"`);
  const render: Render = (dot, root) => {
    const value = evaluate(dot, root);
    if (!isTrue(value)) return otherwise.render(dot, root);
    if (word === "if") return body.render(dot, root);
    const items =
      word === "with" ? [value] : Array.isArray(value) ? (value as Value[]) : Object.values(value as object);
    return items.map((each) => body.render(each, root)).join("");
  };
  return { render, rest: otherwise.rest.slice(1) };
}

function parsePipeline(text: string, source: string): Evaluate {
  const words = text.match(/"(?:[^"\\]|\\.)*"|`[^`]*`|[()|]|[^\s()|]+/g) ?? [];
  const { evaluate, rest } = parseCommands(words, source);
  if (rest.length > 0) throw invalid(source, `"${rest[0]}" is not expected`);
  return evaluate;
}

interface ParsedWords {
  readonly evaluate: Evaluate;
  readonly rest: readonly string[];
}

/** Commands with pipes between them, up to the end or a closing parenthesis. */
function parseCommands(words: readonly string[], source: string): ParsedWords {
  let rest = words;
  let piped: Evaluate | undefined;
  for (;;) {
    const terms: (Evaluate | string)[] = [];
    while (rest[0] !== undefined && rest[0] !== "|" && rest[0] !== ")") {
      const term = parseTerm(rest, source);
      terms.push(term.term);
      rest = term.rest;
    }
    piped = createCommand(terms, piped, source);
    if (rest[0] !== "|") return { evaluate: piped, rest };
    rest = rest.slice(1);
  }
}

function parseTerm(
  words: readonly string[],
  source: string,
): { readonly term: Evaluate | string; readonly rest: readonly string[] } {
  const [word = "", ...rest] = words;
  if (word === "(") {
    const inner = parseCommands(rest, source);
    if (inner.rest[0] !== ")") throw invalid(source, 'a "(" is not closed');
    return { term: inner.evaluate, rest: inner.rest.slice(1) };
  }
  if (word.startsWith('"')) return constant(JSON.parse(word), rest);
  if (word.startsWith("`")) return constant(word.slice(1, -1), rest);
  if (/^-?\d+(?:\.\d+)?$/.test(word)) return constant(Number(word), rest);
  if (word === "true" || word === "false") return constant(word === "true", rest);
  if (word === "nil") return constant(null, rest);
  const path = /^(\$?)((?:\.[\w-]*)*)$/.exec(word);
  if (path === null || word === "") return { term: word, rest };
  const names = (path[2] ?? "").split(".").filter((name) => name !== "");
  const isRoot = path[1] === "$";
  return { term: (dot, root) => names.reduce(fieldOf, isRoot ? root : dot), rest };
}

function constant(
  value: Value,
  rest: readonly string[],
): { readonly term: Evaluate; readonly rest: readonly string[] } {
  return { term: () => value, rest };
}

function fieldOf(value: Value, name: string): Value {
  if (value === null || value === undefined) return undefined;
  if (typeof value === "object" && Object.hasOwn(value, name)) return (value as Readonly<Record<string, Value>>)[name];
  // A label that is not there, an optional member: Go gives nothing for a map's missing key.
  if (typeof value === "object" && !Array.isArray(value) && !Object.keys(value).every((key) => /^[A-Z]/.test(key)))
    return undefined;
  const known = typeof value === "object" ? Object.keys(value) : [];
  const near = nearest(name, known);
  throw new UsageError(
    `Cannot use template: there is no field "${name}"; known are ${known.join(", ") || "none"}`,
    near === undefined ? undefined : `Did you mean .${near}?`,
  );
}

function createCommand(terms: readonly (Evaluate | string)[], piped: Evaluate | undefined, source: string): Evaluate {
  const [first, ...others] = terms;
  if (first === undefined) throw invalid(source, "an action is empty");
  if (typeof first !== "string") {
    if (others.length > 0 || piped !== undefined) throw invalid(source, "a value takes no arguments");
    return first;
  }
  const apply = FUNCTIONS[first];
  if (apply === undefined)
    throw invalid(source, `there is no function "${first}"; known are ${Object.keys(FUNCTIONS).join(", ")}`);
  const args = others.map((term) => {
    if (typeof term === "string") throw invalid(source, `"${term}" is no value`);
    return term;
  });
  return (dot, root) => apply(...[...args, ...(piped === undefined ? [] : [piped])].map((each) => each(dot, root)));
}

const FUNCTIONS: Readonly<Record<string, (...values: Value[]) => Value>> = {
  json: (value) => JSON.stringify(value ?? null),
  len: (value) => (typeof value === "string" || Array.isArray(value) ? value.length : Object.keys(value ?? {}).length),
  index: (value, ...keys) => keys.reduce(indexOf, value),
  join: (values, separator) => ((values ?? []) as Value[]).map(formatGo).join(formatGo(separator)),
  split: (text, separator) => formatGo(text).split(formatGo(separator)),
  upper: (text) => formatGo(text).toUpperCase(),
  lower: (text) => formatGo(text).toLowerCase(),
  print: (...values) => values.map(formatGo).join(" "),
  println: (...values) => `${values.map(formatGo).join(" ")}\n`,
  eq: (a, ...others) => others.includes(a),
  ne: (a, b) => a !== b,
  not: (value) => !isTrue(value),
  and: (...values) => values.find((value) => !isTrue(value)) ?? values.at(-1),
  or: (...values) => values.find(isTrue) ?? values.at(-1),
};

function indexOf(value: Value, key: Value): Value {
  if (Array.isArray(value) && (typeof key !== "number" || key < 0 || key >= value.length))
    throw new UsageError(`Cannot use template: index ${formatGo(key)} is out of range; there are ${value.length}`);
  return ((value ?? {}) as Readonly<Record<string, Value>>)[formatGo(key)];
}

/** Go's truth: zero values are false. */
function isTrue(value: Value): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === "object" && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}

/** As Go's `%v` writes it. */
function formatGo(value: Value): string {
  if (value === null) return "<nil>";
  if (value === undefined) return "<no value>";
  if (Array.isArray(value)) return `[${value.map(formatGo).join(" ")}]`;
  if (typeof value === "string") return value;
  if (typeof value !== "object") return JSON.stringify(value);
  const pairs = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `map[${pairs.map(([key, each]) => `${key}:${formatGo(each)}`).join(" ")}]`;
}
