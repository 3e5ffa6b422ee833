import { parseDirectives } from "./directives.ts";
import { DockerfileError } from "./errors.ts";
import { findHeredocs } from "./find-heredocs.ts";
import type { ArgInstruction, Dockerfile, FromInstruction, Instruction, Stage } from "./instruction.ts";
import type { Location } from "./location.ts";
import { parseInstruction, splitInstruction, takesHeredocs } from "./parse-instruction.ts";
import { createLineReader, type LineReader, type LogicalLine } from "./read-lines.ts";

export interface ParseOptions {
  /** Name for messages. */
  readonly file: string;
}

/** Lines of an instruction that are empty continuations; where the checks find them. */
export interface ParsedDockerfile {
  readonly dockerfile: Dockerfile;
  /** Instructions with empty lines in their continuation. */
  readonly emptyContinuations: readonly Location[];
}

const BYTE_ORDER_MARK = "\uFEFF";

/**
 * Parses a Dockerfile: Dockerfile reference, "Format" and "Parser directives".
 * @throws DockerfileError with the place of the first mistake.
 */
export function parseDockerfile(source: string | Uint8Array, { file }: ParseOptions): ParsedDockerfile {
  const decoded = typeof source === "string" ? source : new TextDecoder("utf-8", { ignoreBOM: true }).decode(source);
  const text = decoded.startsWith(BYTE_ORDER_MARK) ? decoded.slice(1) : decoded;
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  const { directives, count } = parseDirectives(lines, file);
  const reader = createLineReader(lines, { file, escape: directives.escape, first: count });
  const instructions: Instruction[] = [];
  const emptyContinuations: Location[] = [];
  for (let line = reader.next(); line !== undefined; line = reader.next()) {
    const instruction = parseLine(line, reader, directives.escape);
    instructions.push(instruction);
    if (line.emptyContinuation) emptyContinuations.push(instruction.location);
  }
  if (instructions.length === 0)
    throw new DockerfileError(
      "NO_STAGE",
      `Cannot build "${file}": the Dockerfile cannot be empty; it is a file with no instructions`,
    );
  return { dockerfile: { file, text, directives, ...groupStages(instructions, file) }, emptyContinuations };
}

/**
 * A trigger of an image's OnBuild as an instruction.
 * @throws DockerfileError
 */
export function parseTrigger(trigger: string, location: Location): Instruction {
  const [first = "", ...rest] = trigger.split("\n");
  const reader = createLineReader(rest, { file: location.file, escape: "\\", first: 0 });
  return parseLine({ text: first, location, emptyContinuation: false }, reader, "\\");
}

function parseLine(line: LogicalLine, reader: LineReader, escape: string): Instruction {
  let location = line.location;
  const words = splitInstruction(line.text, location);
  const isOnbuild = words.kind === "ONBUILD";
  const heredocs = takesHeredocs(words) || isOnbuild ? findHeredocs(words.rest) : [];
  const wanted = isOnbuild && !/^(run|copy|add)\b/i.test(words.rest) ? [] : heredocs;
  const read = reader.readHeredocs(wanted, location);
  if (wanted.length > 0) location = { ...location, endLine: Math.max(location.endLine, read.endLine) };
  return parseInstruction(words, { location, escape, readHeredocs: () => read.heredocs });
}

function groupStages(
  instructions: readonly Instruction[],
  file: string,
): { readonly globalArgs: readonly ArgInstruction[]; readonly stages: readonly Stage[] } {
  const globalArgs: ArgInstruction[] = [];
  const stages: { readonly from: FromInstruction; readonly instructions: Instruction[] }[] = [];
  for (const instruction of instructions) {
    if (instruction.kind === "FROM") stages.push({ from: instruction, instructions: [] });
    else if (stages.length > 0) stages.at(-1)?.instructions.push(instruction);
    else if (instruction.kind === "ARG") globalArgs.push(instruction);
    else
      throw noStage(
        `no build stage in current context: ${instruction.kind} stands before the first FROM`,
        instruction.location,
      );
  }
  if (stages.length === 0) throw noStage("dockerfile contains no stages to build", { file, line: 1, endLine: 1 });
  return { globalArgs, stages };
}

function noStage(reason: string, location: Location): DockerfileError {
  return new DockerfileError("NO_STAGE", `Cannot parse Dockerfile: ${reason}`, {
    location,
    hint: "Begin the first stage with FROM",
  });
}
