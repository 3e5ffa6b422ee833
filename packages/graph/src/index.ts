export { type NamedContext } from "./named-context.ts";
export { buildGraph, type GraphOptions } from "./build-graph.ts";
export { stepDefinition } from "./definition.ts";
export { type RunDefaults } from "./dispatch.ts";
export { type GitSource, GitUrlError, parseGitUrl } from "./git-source.ts";
export { GraphError, type GraphErrorCode } from "./errors.ts";
export { fileSetsOf, stepInputs } from "./sort-steps.ts";
export type {
  BuildGraph,
  CopySource,
  CopyStep,
  FileSet,
  FromStep,
  RunMount,
  RunStep,
  StageOutput,
  Step,
  StepOrigin,
  WorkdirStep,
} from "./step.ts";
export { type UsedArg } from "./used-args.ts";
