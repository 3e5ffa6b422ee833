import { matchPrefix, matchSuffix, replacePattern } from "./shell-pattern.ts";
import { isSpace } from "./white-space.ts";

export interface ExpandOptions {
  /** The value of a variable, or undefined where it is not set. */
  readonly lookup: (name: string) => string | undefined;
  /** `\` or a backtick. */
  readonly escape?: string;
  /** Quotes stay as they are and mean nothing: for the text of heredocs. */
  readonly literalQuotes?: boolean;
  /** Quotes keep their meaning and stay in the result. */
  readonly rawQuotes?: boolean;
  /** Escape characters stay in the result. */
  readonly rawEscapes?: boolean;
  /** Is told of a variable that is not set and has no default. */
  readonly onUndefined?: (name: string) => void;
}

/** Thrown by the lexer; whoever knows the place makes a DockerfileError of it. */
export class ExpansionError extends Error {}

/**
 * `word` with its variables replaced and its quotes removed, as the Dockerfile reference's "Environment replacement"
 * has it: `$x`, `${x}`, `:-`, `-`, `:+`, `+`, `:?`, `?`, `#`, `##`, `%`, `%%`, `/` and `//`.
 * @throws ExpansionError
 */
export function expandWord(word: string, options: ExpandOptions): string {
  return new Lexer(word, options).processAll();
}

/**
 * The same, cut into words at white space that is not quoted, the white space of values included.
 * @throws ExpansionError
 */
export function expandWords(text: string, options: ExpandOptions): readonly string[] {
  const lexer = new Lexer(text, options);
  lexer.processAll();
  return lexer.words();
}

const SPECIAL = "@*#?-$!0";
/** Deeper substitutions are refused before the stack is full. */
const MAX_DEPTH = 500;
/** A run of characters that mean nothing anywhere. */
const PLAIN = /[^'"$\\`}/]+/y;
const LETTER = /^[\p{L}\p{Nd}_]$/u;
const DIGIT = /^\d$/;

class Lexer {
  readonly #text: string;
  readonly #options: ExpandOptions;
  readonly #escape: string;
  readonly #words: string[] = [];
  #word = "";
  #inWord = false;
  #position = 0;
  #depth = 0;

  constructor(text: string, options: ExpandOptions) {
    this.#text = text;
    this.#options = options;
    this.#escape = options.escape ?? "\\";
  }

  processAll(): string {
    return this.#processUntil(undefined, this.#options.rawEscapes === true);
  }

  words(): readonly string[] {
    return this.#inWord ? [...this.#words, this.#word] : this.#words;
  }

  #peek(): string | undefined {
    const unit = this.#text[this.#position];
    if (unit === undefined || unit < "\ud800" || unit > "\udbff") return unit;
    return String.fromCodePoint(this.#text.codePointAt(this.#position) ?? 0);
  }

  #next(): string | undefined {
    const character = this.#peek();
    this.#position += character?.length ?? 1;
    return character;
  }

  #nextPlain(): string {
    PLAIN.lastIndex = this.#position;
    const plain = PLAIN.exec(this.#text)?.[0] ?? "";
    this.#position += plain.length;
    return plain;
  }

  /** Text up to `stop`, which is taken as well; undefined: the end. */
  #processUntil(stop: string | undefined, rawEscapes: boolean): string {
    const outer = stop === undefined;
    const parts: string[] = [];
    for (let character = this.#peek(); character !== undefined; character = this.#peek()) {
      if (character === stop) {
        this.#next();
        return parts.join("");
      }
      const { text, raw } = this.#processOne(character, rawEscapes);
      if (outer) this.#addToWords(text, raw);
      parts.push(text);
    }
    if (!outer) throw new ExpansionError(`unexpected end of statement while looking for matching ${stop}`);
    return parts.join("");
  }

  #processOne(character: string, rawEscapes: boolean): { readonly text: string; readonly raw: boolean } {
    const quotes = this.#options.literalQuotes !== true;
    if (quotes && character === "'") return { text: this.#processSingleQuote(), raw: true };
    if (quotes && character === '"') return { text: this.#processDoubleQuote(), raw: true };
    if (character === "$") return { text: this.#processDollar(), raw: false };
    const plain = this.#nextPlain();
    if (plain !== "") return { text: plain, raw: false };
    this.#next();
    if (character !== this.#escape) return { text: character, raw: false };
    const escaped = this.#next();
    if (escaped === undefined) return { text: rawEscapes ? character : "", raw: true };
    return { text: rawEscapes ? character + escaped : escaped, raw: true };
  }

  /** Text that was quoted or escaped belongs to the word, white space and emptiness included. */
  #addToWords(text: string, raw: boolean): void {
    if (raw) {
      this.#word += text;
      this.#inWord = true;
      return;
    }
    let start = 0;
    for (let position = 0; position <= text.length; position += 1) {
      const isEnd = position === text.length;
      if (!isEnd && !isSpace(text.charAt(position))) continue;
      if (position > start) {
        this.#word += text.slice(start, position);
        this.#inWord = true;
      }
      start = position + 1;
      if (!isEnd) this.#endWord();
    }
  }

  #endWord(): void {
    if (!this.#inWord) return;
    this.#words.push(this.#word);
    this.#word = "";
    this.#inWord = false;
  }

  #processSingleQuote(): string {
    this.#next();
    const end = this.#text.indexOf("'", this.#position);
    if (end < 0) throw new ExpansionError("unexpected end of statement while looking for matching single-quote");
    const text = this.#text.slice(this.#position, end);
    this.#position = end + 1;
    return this.#quoted("'", text);
  }

  #processDoubleQuote(): string {
    this.#next();
    const parts: string[] = [];
    for (let character = this.#peek(); character !== '"'; character = this.#peek()) {
      if (character === undefined)
        throw new ExpansionError("unexpected end of statement while looking for matching double-quote");
      parts.push(character === "$" ? this.#processDollar() : this.#processQuoted());
    }
    this.#next();
    return this.#quoted('"', parts.join(""));
  }

  /** In double quotes an escape character counts only before a quote, a dollar and itself. */
  #processQuoted(): string {
    const plain = this.#nextPlain();
    if (plain !== "") return plain;
    const character = this.#next() ?? "";
    if (character !== this.#escape) return character;
    const next = this.#peek();
    if (next === undefined) return "";
    if (next !== '"' && next !== "$" && next !== this.#escape) return character;
    this.#next();
    return this.#options.rawEscapes === true ? character + next : next;
  }

  #quoted(quote: string, text: string): string {
    return this.#options.rawQuotes === true ? quote + text + quote : text;
  }

  #processDollar(): string {
    this.#next();
    if (this.#peek() !== "{") {
      const name = this.#processName();
      return name === "" ? "$" : this.#valueOf(name);
    }
    this.#next();
    const first = this.#peek();
    if (first === undefined) throw new ExpansionError("syntax error: missing '}'");
    if ("{}:".includes(first)) throw new ExpansionError("syntax error: bad substitution");
    return this.#processSubstitution(this.#processName());
  }

  #valueOf(name: string): string {
    const value = this.#options.lookup(name);
    if (value === undefined) this.#options.onUndefined?.(name);
    return value ?? "";
  }

  #processSubstitution(name: string): string {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw new ExpansionError(`substitutions nested more than ${MAX_DEPTH} deep`);
    const value = this.#processOperator(name);
    this.#depth -= 1;
    return value;
  }

  #processOperator(name: string): string {
    const character = this.#next();
    if (character === "}") return this.#valueOf(name);
    if (character === "/") return this.#processReplace(name);
    const colon = character === ":";
    const operator = colon ? this.#next() : character;
    if (operator === undefined) throw new ExpansionError("syntax error: missing '}'");
    if (!"+-?#%".includes(operator))
      throw new ExpansionError(`unsupported modifier (${colon ? ":" : ""}${operator}) in substitution`);
    const isPattern = operator === "#" || operator === "%";
    const word = this.#processUntil("}", isPattern);
    return isPattern ? this.#strip(name, operator, word) : this.#choose(name, { operator, word, emptyIsUnset: colon });
  }

  #choose(
    name: string,
    {
      operator,
      word,
      emptyIsUnset,
    }: { readonly operator: string; readonly word: string; readonly emptyIsUnset: boolean },
  ): string {
    const value = this.#options.lookup(name);
    const isSet = value !== undefined && !(emptyIsUnset && value === "");
    if (operator === "+") return isSet ? word : "";
    if (isSet) return value;
    if (operator === "-") return word;
    const reason = value === undefined ? "is not allowed to be unset" : "is not allowed to be empty";
    throw new ExpansionError(`${name}: ${word === "" ? reason : word}`);
  }

  #strip(name: string, operator: string, word: string): string {
    const value = this.#valueOf(name);
    const longest = word.startsWith(operator);
    const pattern = longest ? word.slice(1) : word;
    return operator === "#"
      ? value.slice(matchPrefix(value, pattern, { longest }))
      : value.slice(0, matchSuffix(value, pattern, { longest }));
  }

  #processReplace(name: string): string {
    const all = this.#peek() === "/";
    if (all) this.#next();
    const pattern = this.#processUntil("/", true);
    const replacement = this.#processUntil("}", true);
    return replacePattern(this.#valueOf(name), pattern, { replacement, all });
  }

  #processName(): string {
    let name = "";
    for (let character = this.#peek(); character !== undefined; character = this.#peek()) {
      if (name === "" && DIGIT.test(character)) return this.#processDigits();
      if (name === "" && SPECIAL.includes(character)) return this.#next() ?? "";
      if (!LETTER.test(character)) break;
      name += this.#next();
    }
    return name;
  }

  #processDigits(): string {
    const start = this.#position;
    while (DIGIT.test(this.#text.charAt(this.#position))) this.#position += 1;
    return this.#text.slice(start, this.#position);
  }
}
