export {
  applyCheckDirective,
  assertChecks,
  checkDockerfile,
  type CheckOptions,
  type CheckResult,
} from "./check-dockerfile.ts";
export { dropSkipped } from "./check-comments.ts";
export { soundsSecret } from "./check-words.ts";
export { CHECK_RULES, type CheckRule } from "./check-rules.ts";
export { parseCheck } from "./directives.ts";
export {
  createIgnoreMatcher,
  type IgnoreMatch,
  type IgnoreMatcher,
  type IgnorePattern,
  parseDockerignore,
} from "./dockerignore.ts";
export { docComment } from "./doc-comment.ts";
export { DockerfileError, type DockerfileErrorCode } from "./errors.ts";
export { expandInstruction, type InstructionExpandOptions } from "./expand-instruction.ts";
export { expandWord, expandWords, type ExpandOptions, ExpansionError } from "./expand-word.ts";
export { parseHeredocStart } from "./find-heredocs.ts";
export { formatSource } from "./format-source.ts";
export type {
  AddInstruction,
  ArgInstruction,
  Command,
  CopyInstruction,
  CopySourceWord,
  Directives,
  Dockerfile,
  FromInstruction,
  HealthcheckInstruction,
  Heredoc,
  Instruction,
  KeyValue,
  RunInstruction,
  RunMountFlag,
  Stage,
  Warning,
} from "./instruction.ts";
export { type Location } from "./location.ts";
export { nearest } from "./nearest.ts";
export { parseDockerfile, type ParsedDockerfile, type ParseOptions, parseTrigger } from "./parse-dockerfile.ts";
export { INSTRUCTIONS } from "./parse-instruction.ts";
export { createPathMatcher, type NameMatcher } from "./path-pattern.ts";
