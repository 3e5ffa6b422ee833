import type { Command, Location } from "@varve/dockerfile";
import type { ContainerConfig, History, Platform } from "@varve/oci";
import { scopeOf, type Scope } from "./scope.ts";
import type { Step, StepOrigin } from "./step.ts";

/** A stage while its instructions are gone through. */
export interface StageState {
  step: Step;
  config: ContainerConfig;
  history: History[];
  author: string | undefined;
  readonly platform: Platform;
  readonly baseCreated: string | undefined;
  /** What `$x` and RUN see: the image's env and declared args, as they were set one after the other. */
  scope: Scope;
  /** Declared args in order, with the value that ARG gave them. */
  args: ReadonlyMap<string, string | undefined>;
  /** CMD was given in this stage: an ENTRYPOINT leaves it then. */
  hasCommand: boolean;
  /** Cached results are not used. */
  readonly noCache: boolean;
  /** For the names of steps: the stage's name with a space behind it, or "". */
  readonly label: string;
  /** How many steps the stage has, FROM included. */
  readonly stepCount: number;
  readonly steps: Step[];
}

/** What an image has that is made of nothing. */
export const EMPTY_CONFIG: ContainerConfig = { WorkingDir: "/" };
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const DEFAULT_SHELL = ["/bin/sh", "-c"];
/** What BuildKit's frontend calls itself in history. */
const COMMENT = "buildkit.dockerfile.v0";

/** `config` as a stage starts from it: with a PATH, always. */
export function initialConfig(config: ContainerConfig): ContainerConfig {
  const env = config.Env ?? [];
  return scopeOf(env).has("PATH") ? config : { ...config, Env: [...env, `PATH=${DEFAULT_PATH}`] };
}

/** Adds a history line; `layer`: the instruction made one. */
export function addHistory(state: StageState, text: string, { layer }: { readonly layer: boolean }): void {
  state.history.push({ created_by: text, comment: COMMENT, ...(layer ? {} : { empty_layer: true }) });
}

/** The arguments of a command: the shell form behind the stage's shell. */
export function commandArgs(state: StageState, command: Command): readonly string[] {
  return command.form === "exec" ? command.args : [...(state.config.Shell ?? DEFAULT_SHELL), command.script];
}

/** The directory that relative paths start from. */
export function workdirOf(state: StageState): string {
  const { WorkingDir } = state.config;
  return WorkingDir === undefined || WorkingDir === "" ? "/" : WorkingDir;
}

/** Puts a step on top of the stage. */
export function addStep(state: StageState, step: Step): void {
  state.step = step;
  state.steps.push(step);
}

/** What all steps of the stage have in common. */
export function stepBase(
  state: StageState,
  text: string,
  location: Location,
): {
  readonly name: string;
  readonly location: Location;
  readonly platform: Platform;
  readonly origin: StepOrigin;
  readonly noCache?: boolean;
} {
  const position = state.steps.length + 2;
  return {
    name: `[${state.label}${position}/${state.stepCount}] ${text}`,
    location,
    origin: { stage: state.label.trim(), position, text, scope: state.scope, buildArgs: [...state.args.keys()] },
    platform: state.platform,
    ...(state.noCache ? { noCache: true } : {}),
  };
}
