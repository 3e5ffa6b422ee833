import { DockerfileError } from "./errors.ts";
import type { Heredoc } from "./instruction.ts";
import type { Location } from "./location.ts";
import { trimStart } from "./white-space.ts";

/** An instruction as one line, with the text of its heredocs. */
export interface LogicalLine {
  /** Continuations joined, comments between them left out. */
  readonly text: string;
  readonly location: Location;
  /** Lines of continuation that are empty: they are accepted, and warned of. */
  readonly emptyContinuation: boolean;
}

const NO_HEREDOCS: readonly Heredoc[] = [];
/** BuildKit's scanner gives up on lines longer than this. Bytes. */
const MAX_LINE = 65_535;

/** Reads a Dockerfile's physical lines one after the other. */
export interface LineReader {
  /** The next instruction; undefined at the end. */
  next(): LogicalLine | undefined;
  /**
   * The text of the heredocs that `names` ask for, in order, from the lines that follow.
   * @throws DockerfileError `UNTERMINATED_HEREDOC`.
   */
  readHeredocs(
    names: readonly HeredocStart[],
    location: Location,
  ): { readonly heredocs: readonly Heredoc[]; readonly endLine: number };
}

/** `<<NAME` as it was found in a line. */
export interface HeredocStart {
  readonly name: string;
  readonly expand: boolean;
  readonly chomp: boolean;
  readonly fileDescriptor: number;
}

/**
 * A reader over `lines` from number `first` (counted from 0) on.
 * @throws DockerfileError `SYNTAX` for a line that is too long.
 */
export function createLineReader(
  lines: readonly string[],
  options: { readonly file: string; readonly escape: string; readonly first: number },
): LineReader {
  const { file, escape } = options;
  let position = options.first;
  const take = (): string => {
    const line = lines[position] ?? "";
    position += 1;
    if (line.length > MAX_LINE || (line.length > MAX_LINE / 4 && Buffer.byteLength(line) > MAX_LINE)) {
      throw new DockerfileError(
        "SYNTAX",
        `Cannot parse Dockerfile: dockerfile line greater than maximum allowed size of ${MAX_LINE}`,
        {
          location: { file, line: position, endLine: position },
        },
      );
    }
    return line;
  };
  return {
    next() {
      while (position < lines.length) {
        const line = startInstruction(take(), escape);
        if (line === undefined) continue;
        return continueInstruction(line, {
          file,
          escape,
          take,
          number: () => position,
          more: () => position < lines.length,
        });
      }
      return undefined;
    },
    readHeredocs(names, location) {
      if (names.length === 0) return { heredocs: NO_HEREDOCS, endLine: location.endLine };
      const heredocs = names.map((start) =>
        readHeredoc(start, { location, take, more: () => position < lines.length }),
      );
      return { heredocs, endLine: position };
    },
  };
}

interface Continued {
  readonly text: string;
  readonly ended: boolean;
}

function startInstruction(line: string, escape: string): Continued | undefined {
  const text = trimStart(line);
  if (text === "" || text.startsWith("#")) return undefined;
  const cut = cutContinuation(text, escape);
  return cut.ended && cut.text === "" ? undefined : cut;
}

interface Source {
  readonly file: string;
  readonly escape: string;
  readonly take: () => string;
  readonly number: () => number;
  readonly more: () => boolean;
}

function continueInstruction(start: Continued, { file, escape, take, number, more }: Source): LogicalLine {
  const line = number();
  if (start.ended) return { text: start.text, location: { file, line, endLine: line }, emptyContinuation: false };
  const parts = [start.text];
  let ended = false;
  let emptyContinuation = false;
  while (!ended && more()) {
    const next = take();
    const trimmed = trimStart(next);
    if (trimmed.startsWith("#")) continue;
    if (trimmed === "") {
      emptyContinuation = true;
      continue;
    }
    const cut = cutContinuation(next, escape);
    parts.push(cut.text);
    ended = cut.ended;
  }
  return { text: parts.join(""), location: { file, line, endLine: number() }, emptyContinuation };
}

/** Takes an escape character at the end of the line away, unless another one stands before it. */
function cutContinuation(line: string, escape: string): Continued {
  let end = line.length;
  while (line[end - 1] === " " || line[end - 1] === "\t") end -= 1;
  if (line[end - 1] !== escape || line[end - 2] === escape) return { text: line, ended: true };
  return { text: line.slice(0, end - 1), ended: false };
}

interface HeredocSource {
  readonly location: Location;
  readonly take: () => string;
  readonly more: () => boolean;
}

function readHeredoc(start: HeredocStart, { location, take, more }: HeredocSource): Heredoc {
  const lines: string[] = [];
  while (more()) {
    const raw = take();
    const line = start.chomp ? raw.replace(/^\t+/, "") : raw;
    if (line === start.name) return { ...start, content: lines.join("") };
    lines.push(`${line}\n`);
  }
  throw new DockerfileError("UNTERMINATED_HEREDOC", `Cannot parse Dockerfile: unterminated heredoc "${start.name}"`, {
    location,
    hint: `End it with a line that holds ${start.name} and nothing else`,
  });
}
