import { DockerfileError } from "./errors.ts";
import { type ExpandOptions, expandWord, expandWords, ExpansionError } from "./expand-word.ts";
import type {
  AddInstruction,
  CopyInstruction,
  CopySourceWord,
  Instruction,
  KeyValue,
  RunInstruction,
} from "./instruction.ts";

export type InstructionExpandOptions = Pick<ExpandOptions, "lookup" | "escape" | "onUndefined">;

/**
 * The instruction with the variables of those fields replaced that the Dockerfile reference's "Environment
 * replacement" names for it; the others stay. Pairs of one ENV see the values from before it.
 * @throws DockerfileError `BAD_EXPANSION`.
 */
export function expandInstruction<T extends Instruction>(instruction: T, options: InstructionExpandOptions): T;
export function expandInstruction(instruction: Instruction, options: InstructionExpandOptions): Instruction {
  const word = (text: string): string => expandAt(text, instruction, () => expandWord(text, options));
  const words = (text: string): readonly string[] => expandAt(text, instruction, () => expandWords(text, options));
  const raw = (text: string): string =>
    expandAt(text, instruction, () => expandWord(text, { ...options, escape: "\\", literalQuotes: true }));
  switch (instruction.kind) {
    case "ENV":
      return { ...instruction, variables: instruction.variables.map((pair) => expandPair(pair, word)) };
    case "LABEL":
      return { ...instruction, labels: instruction.labels.map((pair) => expandPair(pair, word)) };
    case "COPY":
      return {
        ...expandCopy(instruction, { word, raw }),
        ...(instruction.from === undefined ? {} : { from: word(instruction.from) }),
      };
    case "ADD":
      return {
        ...expandCopy(instruction, { word, raw }),
        ...(instruction.checksum === undefined ? {} : { checksum: word(instruction.checksum) }),
      };
    case "EXPOSE":
      return { ...instruction, ports: instruction.ports.flatMap(words) };
    case "VOLUME":
      return { ...instruction, volumes: instruction.volumes.map(word) };
    case "USER":
      return { ...instruction, user: word(instruction.user) };
    case "WORKDIR":
      return { ...instruction, path: word(instruction.path) };
    case "STOPSIGNAL":
      return { ...instruction, signal: word(instruction.signal) };
    case "ARG":
      return {
        ...instruction,
        args: instruction.args.map((arg) => ({
          name: arg.name,
          ...(arg.value === undefined ? {} : { value: word(arg.value) }),
        })),
      };
    case "RUN":
      return expandRun(instruction, word);
    case "FROM":
    case "CMD":
    case "ENTRYPOINT":
    case "MAINTAINER":
    case "ONBUILD":
    case "HEALTHCHECK":
    case "SHELL":
      return instruction;
    default:
      return instruction satisfies never;
  }
}

/** The command itself is the shell's to expand. */
function expandRun(instruction: RunInstruction, word: (text: string) => string): RunInstruction {
  const mounts = instruction.mounts.map(({ raw, options }) => ({
    raw,
    options: options.map(([name, value]) => [name, value === undefined ? undefined : word(value)] as const),
  }));
  return {
    ...instruction,
    mounts,
    ...(instruction.network === undefined ? {} : { network: word(instruction.network) }),
    ...(instruction.security === undefined ? {} : { security: word(instruction.security) }),
    devices: instruction.devices.map(word),
  };
}

function expandPair({ key, value }: KeyValue, word: (text: string) => string): KeyValue {
  return { key: word(key), value: word(value) };
}

interface Expanders {
  readonly word: (text: string) => string;
  readonly raw: (text: string) => string;
}

function expandCopy<T extends CopyInstruction | AddInstruction>(instruction: T, { word, raw }: Expanders): T {
  const sources = instruction.sources.map((source): CopySourceWord => {
    if (source.kind === "word") return { kind: "word", word: word(source.word) };
    const { heredoc } = source;
    return { kind: "heredoc", heredoc: heredoc.expand ? { ...heredoc, content: raw(heredoc.content) } : heredoc };
  });
  return {
    ...instruction,
    sources,
    destination: word(instruction.destination),
    exclude: instruction.exclude.map(word),
    ...(instruction.chown === undefined ? {} : { chown: word(instruction.chown) }),
    ...(instruction.chmod === undefined ? {} : { chmod: word(instruction.chmod) }),
  };
}

function expandAt<T>(text: string, { location }: Instruction, expand: () => T): T {
  try {
    return expand();
  } catch (cause) {
    if (!(cause instanceof ExpansionError)) throw cause;
    throw new DockerfileError(
      "BAD_EXPANSION",
      `Cannot expand: failed to process ${JSON.stringify(text)}: ${cause.message}`,
      { location, cause, word: text },
    );
  }
}
