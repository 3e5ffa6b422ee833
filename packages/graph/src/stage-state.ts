import type { Command, Location } from "@varve/dockerfile";
import type { ContainerConfig, History, Platform } from "@varve/oci";
import { envOf, scopeOf } from "./scope.ts";
import type { Step, StepOrigin } from "./step.ts";

/** A stage while its instructions are gone through. */
export interface StageState {
  step: Step;
  /** Without what `additions` holds. */
  config: ContainerConfig;
  readonly additions: ConfigAdditions;
  history: History[];
  author: string | undefined;
  readonly platform: Platform;
  readonly baseCreated: string | undefined;
  /** What `$x` and RUN see: the image's env and declared args, as they were set one after the other. */
  readonly scope: Map<string, string>;
  /** Declared args in order, with the value that ARG gave them. */
  readonly args: Map<string, string | undefined>;
  /** What the next step sees of these; undefined after a change. `variablesOf` makes it. */
  variables: StepVariables | undefined;
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

/** What instructions add to the config piece by piece, so that each takes no longer the more there are before it. */
export interface ConfigAdditions {
  /** Takes the place of the config's Env; undefined before the first ENV. */
  env: Map<string, string> | undefined;
  readonly labels: Map<string, string>;
  readonly ports: Set<string>;
  readonly volumes: Set<string>;
  readonly triggers: string[];
}

/** What a step sees of its stage's variables. */
interface StepVariables extends Pick<StepOrigin, "scope" | "buildArgs"> {
  /** For RUN: `NAME=value`. */
  readonly env: readonly string[];
}

/** Nothing added yet. */
export function noAdditions(): ConfigAdditions {
  return { env: undefined, labels: new Map(), ports: new Set(), volumes: new Set(), triggers: [] };
}

/** The config of the stage as it is now, additions included. */
export function configOf({ config, additions }: StageState): ContainerConfig {
  const { env, labels, ports, volumes, triggers } = additions;
  const flags = (names: Iterable<string>): Record<string, Record<string, never>> =>
    Object.fromEntries(Array.from(names, (name) => [name, {}]));
  return {
    ...config,
    ...(env === undefined ? {} : { Env: envOf(env) }),
    ...(labels.size === 0 ? {} : { Labels: { ...config.Labels, ...Object.fromEntries(labels) } }),
    ...(ports.size === 0 ? {} : { ExposedPorts: { ...config.ExposedPorts, ...flags(ports) } }),
    ...(volumes.size === 0 ? {} : { Volumes: { ...config.Volumes, ...flags(volumes) } }),
    ...(triggers.length === 0 ? {} : { OnBuild: [...(config.OnBuild ?? []), ...triggers] }),
  };
}

/** Sets a variable for the instructions that follow. */
export function setVariable(state: StageState, name: string, value: string): void {
  state.scope.set(name, value);
  state.variables = undefined;
}

/** Declares an arg, with the value that ARG gives it. */
export function declareArg(state: StageState, name: string, value: string | undefined): void {
  state.args.set(name, value);
  state.variables = undefined;
}

/** The variables of a step that is made now: shared by all steps between two changes. */
export function variablesOf(state: StageState): StepVariables {
  return (state.variables ??= {
    scope: new Map(state.scope),
    buildArgs: [...state.args.keys()],
    env: envOf(state.scope),
  });
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
  const { scope, buildArgs } = variablesOf(state);
  return {
    name: `[${state.label}${position}/${state.stepCount}] ${text}`,
    location,
    origin: { stage: state.label.trim(), position, text, scope, buildArgs },
    platform: state.platform,
    ...(state.noCache ? { noCache: true } : {}),
  };
}
