export { build, type BuildResult } from "./api/build.ts";
export { BuildError, type BuildErrorPlace } from "./api/build-error.ts";
export type { BuildEvent, GraphStep, StepReason, StepWords } from "./api/build-event.ts";
export type { BuildOptions, Pairs } from "./api/build-options.ts";
