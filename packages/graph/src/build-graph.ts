import {
  type Dockerfile,
  DockerfileError,
  expandWord,
  ExpansionError,
  type FromInstruction,
  type Instruction,
  nearest,
  parseTrigger,
  type Stage,
} from "@varve/dockerfile";
import { familiarReference, type Image, OciError, parsePlatform, parseReference, type Platform } from "@varve/oci";
import { dispatch, type DispatchContext, dispatchTriggers, type RunDefaults } from "./dispatch.ts";
import { GraphError } from "./errors.ts";
import { platformArgs, PROXY_ARGS, STEERING_ARGS } from "./platform-args.ts";
import { addStep, EMPTY_CONFIG, initialScope, type StageState } from "./stage-state.ts";
import type { BuildGraph, FileSet, FromStep, StageOutput } from "./step.ts";
import { sortSteps } from "./sort-steps.ts";

/** What `--build-context NAME=…` gives: files by the name of a context, or an image by reference. */
export type NamedContext =
  | { readonly type: "context"; readonly name: string }
  | { readonly type: "image"; readonly reference: string };

export interface GraphOptions {
  /** Stage to build, by name; undefined: the last one. */
  readonly target?: string | undefined;
  readonly platform: Platform;
  readonly buildPlatform: Platform;
  readonly buildArgs: ReadonlyMap<string, string>;
  /** `--label`. */
  readonly labels: Readonly<Record<string, string>>;
  /** By lower-case name. They stand for stages and images of that name. */
  readonly namedContexts: ReadonlyMap<string, NamedContext>;
  /** True, or names of the stages whose steps run again. */
  readonly noCache: boolean | readonly string[];
  readonly runDefaults: RunDefaults;
  /** Finds a base image; called once for each reachable reference and platform. */
  readonly resolveImage: (reference: string, platform: Platform) => Promise<Image>;
  readonly onWarning: (message: string) => void;
}

/**
 * The build graph of a Dockerfile's target for one platform. Stages that the target does not need are left out, and
 * their images are not asked for.
 * @throws GraphError, DockerfileError (expansion), and what `resolveImage` throws.
 */
export async function buildGraph(dockerfile: Dockerfile, options: GraphOptions): Promise<BuildGraph> {
  const targetIndex = findTarget(dockerfile, options.target);
  const used = new Set<string>();
  const builder = new GraphBuilder(dockerfile, options, { targetIndex, onArgUsed: (name) => used.add(name) });
  const output = await builder.stage(targetIndex);
  warnOfUnused(options, used);
  const labels =
    Object.keys(options.labels).length === 0 ? {} : { Labels: { ...output.config.Labels, ...options.labels } };
  return {
    target: { ...output, config: { ...output.config, ...labels } },
    steps: sortSteps(output.step),
    bases: builder.bases(),
  };
}

function findTarget({ stages, file }: Dockerfile, target: string | undefined): number {
  if (target === undefined || target === "") return stages.length - 1;
  const names = stages.map((stage) => stage.from.stageName?.toLowerCase());
  const index = names.lastIndexOf(target.toLowerCase());
  if (index >= 0) return index;
  const near = nearest(
    target,
    names.filter((name) => name !== undefined),
  );
  throw new GraphError(
    "TARGET_UNKNOWN",
    `Cannot build target "${target}": target stage "${target}" could not be found in ${file}`,
    {
      hint: near === undefined ? "Name a stage with FROM … AS NAME" : `Did you mean "${near}"?`,
    },
  );
}

function warnOfUnused({ buildArgs, onWarning }: GraphOptions, used: ReadonlySet<string>): void {
  const silent = [...PROXY_ARGS, ...STEERING_ARGS];
  const unused = [...buildArgs.keys()].filter((name) => !used.has(name) && !silent.includes(name));
  if (unused.length > 0) onWarning(`One or more build-args [${unused.join(" ")}] were not consumed`);
}

interface BuilderContext {
  readonly targetIndex: number;
  readonly onArgUsed: (name: string) => void;
}

class GraphBuilder {
  readonly #dockerfile: Dockerfile;
  readonly #options: GraphOptions;
  readonly #context: BuilderContext;
  readonly #globals: ReadonlyMap<string, string>;
  readonly #stages = new Map<number, Promise<StageState>>();
  readonly #images = new Map<string, Promise<FromStep>>();
  readonly #bases = new Map<string, FromStep>();

  constructor(dockerfile: Dockerfile, options: GraphOptions, context: BuilderContext) {
    this.#dockerfile = dockerfile;
    this.#options = options;
    this.#context = context;
    this.#globals = this.#expandGlobals();
  }

  async stage(index: number): Promise<StageOutput> {
    const { step, platform, author, config, history, baseCreated } = await this.#state(index);
    return { step, platform, author, config, history, baseCreated };
  }

  bases(): BuildGraph["bases"] {
    return [...this.#bases.values()].flatMap(({ source }) =>
      source.type === "image" ? [{ reference: source.reference, descriptor: source.image.descriptor }] : [],
    );
  }

  #expandGlobals(): ReadonlyMap<string, string> {
    const { platform, buildPlatform, buildArgs, target } = this.#options;
    const globals = new Map(
      platformArgs(
        platform,
        buildPlatform,
        target ?? this.#dockerfile.stages[this.#context.targetIndex]?.from.stageName ?? "default",
      ),
    );
    for (const name of globals.keys()) if (buildArgs.has(name)) globals.set(name, buildArgs.get(name) ?? "");
    for (const instruction of this.#dockerfile.globalArgs) {
      for (const { name, value } of instruction.args) {
        const given = buildArgs.get(name);
        if (given !== undefined) this.#context.onArgUsed(name);
        const chosen = given ?? (value === undefined ? undefined : this.#expand(value, instruction, globals));
        if (chosen !== undefined) globals.set(name, chosen);
      }
    }
    return globals;
  }

  #expand(word: string, { location }: Instruction, scope: ReadonlyMap<string, string>): string {
    try {
      return expandWord(word, { lookup: (name) => scope.get(name), escape: this.#dockerfile.directives.escape });
    } catch (cause) {
      if (!(cause instanceof ExpansionError)) throw cause;
      throw new DockerfileError(
        "BAD_EXPANSION",
        `Cannot expand: failed to process ${JSON.stringify(word)}: ${cause.message}`,
        { location, cause },
      );
    }
  }

  #state(index: number): Promise<StageState> {
    const known = this.#stages.get(index);
    if (known !== undefined) return known;
    const made = this.#buildStage(index);
    this.#stages.set(index, made);
    return made;
  }

  async #buildStage(index: number): Promise<StageState> {
    const stage = this.#dockerfile.stages[index];
    if (stage === undefined) throw new Error(`Cannot build stage ${index}: there is none`);
    const state = await this.#startStage(stage, index);
    const triggers = (state.config.OnBuild ?? []).map((trigger) => parseTrigger(trigger, stage.from.location));
    const sets = await this.#fileSets([...triggers, ...stage.instructions], { index, platform: state.platform });
    const context = this.#dispatchContext(sets);
    dispatchTriggers(state, stage.from, context);
    for (const instruction of stage.instructions) dispatch(state, instruction, context);
    return state;
  }

  #dispatchContext(sets: ReadonlyMap<string, FileSet>): DispatchContext {
    return {
      resolveFrom(name, instruction) {
        const set = sets.get(name);
        if (set !== undefined) return set;
        throw new GraphError("STAGE_UNKNOWN", `Cannot copy from "${name}": 'from' doesn't support variable expansion`, {
          location: instruction.location,
          hint: "Give the image a name with FROM … AS NAME, and copy from that",
        });
      },
      buildArgs: this.#options.buildArgs,
      globals: this.#globals,
      escape: this.#dockerfile.directives.escape,
      runDefaults: this.#options.runDefaults,
      onArgUsed: this.#context.onArgUsed,
    };
  }

  async #startStage(stage: Stage, index: number): Promise<StageState> {
    const { from } = stage;
    const name = this.#expand(from.image, from, this.#globals);
    if (name === "") {
      throw new GraphError("BASE_INVALID", `Cannot use base image: base name (${from.image}) should not be blank`, {
        location: from.location,
        hint: "Declare the ARG before the first FROM, with a default",
      });
    }
    const platform = this.#stagePlatform(from);
    const base = this.#findStage(name, index);
    const named = this.#namedContext(name);
    if (named === undefined && base !== undefined)
      return this.#fromState(stage, { state: await this.#state(base), index, platform });
    if (named?.type === "context") return this.#fromContext(stage, { name: named.name, index, platform });
    if (named === undefined && name === "scratch") return this.#newState(stage, { step: scratchStep(platform), index });
    const step = await this.#imageStep(named === undefined ? name : named.reference, { platform, from });
    return this.#newState(stage, { step, index });
  }

  #stagePlatform(from: FromInstruction): Platform {
    if (from.platform === undefined) return this.#options.platform;
    const text = this.#expand(from.platform, from, this.#globals);
    try {
      return parsePlatform(text);
    } catch (cause) {
      if (!(cause instanceof OciError)) throw cause;
      throw new GraphError(
        "BASE_INVALID",
        `Cannot use --platform "${text}": failed to parse platform; wanted os/architecture[/variant]`,
        { location: from.location, cause },
      );
    }
  }

  /** An earlier stage of this name; the last of several. */
  #findStage(name: string, before: number): number | undefined {
    const names = this.#dockerfile.stages.slice(0, before).map((stage) => stage.from.stageName?.toLowerCase());
    const index = names.lastIndexOf(name.toLowerCase());
    return index < 0 ? undefined : index;
  }

  #namedContext(name: string): NamedContext | undefined {
    const { namedContexts } = this.#options;
    if (namedContexts.size === 0) return undefined;
    return namedContexts.get(name.toLowerCase()) ?? namedContexts.get(familiarName(name));
  }

  #fromState(
    stage: Stage,
    { state, index }: { readonly state: StageState; readonly index: number; readonly platform: Platform },
  ): StageState {
    return {
      ...this.#labels(stage, index),
      step: state.step,
      config: state.config,
      history: [...state.history],
      author: state.author,
      platform: state.platform,
      baseCreated: state.baseCreated,
      scope: state.scope,
      args: state.args,
      hasCommand: false,
      steps: [],
    };
  }

  #labels(stage: Stage, index: number): Pick<StageState, "label" | "stepCount" | "noCache"> {
    const { noCache } = this.#options;
    const name = stage.from.stageName?.toLowerCase();
    const single = this.#dockerfile.stages.length === 1;
    const label = name ?? (single ? "" : `stage-${index}`);
    const count = stage.instructions.filter(({ kind }) => ["RUN", "COPY", "ADD", "WORKDIR"].includes(kind)).length;
    const again =
      noCache === true ||
      (noCache !== false && name !== undefined && noCache.some((each) => each.toLowerCase() === name));
    return { label: label === "" ? "" : `${label} `, stepCount: count + 1, noCache: again };
  }

  #newState(stage: Stage, { step, index }: { readonly step: FromStep; readonly index: number }): StageState {
    const image = step.source.type === "image" ? step.source.image : undefined;
    const config = image === undefined ? EMPTY_CONFIG : (image.config.config ?? {});
    return {
      ...this.#labels(stage, index),
      step,
      config,
      history: [...(image?.config.history ?? [])],
      author: image?.config.author,
      platform: step.platform,
      baseCreated: image?.config.created,
      scope: initialScope(config),
      args: new Map(),
      hasCommand: false,
      steps: [],
    };
  }

  /** A directory as a base: its files on an empty file system. */
  #fromContext(
    stage: Stage,
    { name, index, platform }: { readonly name: string; readonly index: number; readonly platform: Platform },
  ): StageState {
    const state = this.#newState(stage, { step: scratchStep(platform), index });
    const from: FileSet = { type: "context", name };
    addStep(state, {
      name: `[context ${name}] load`,
      location: stage.from.location,
      platform,
      kind: "copy",
      parent: state.step,
      instruction: "COPY",
      sources: [{ type: "path", from, path: "/" }],
      destination: "/",
      chown: undefined,
      chmod: undefined,
      link: true,
      parents: false,
      exclude: [],
      checksum: undefined,
      unpack: undefined,
    });
    state.history.push({ created_by: `COPY / / # context ${name}` });
    return state;
  }

  #imageStep(
    reference: string,
    { platform, from }: { readonly platform: Platform; readonly from: Instruction },
  ): Promise<FromStep> {
    const key = JSON.stringify([reference, platform]);
    const known = this.#images.get(key);
    if (known !== undefined) return known;
    const made = this.#resolveImage(reference, { platform, from });
    this.#images.set(key, made);
    return made;
  }

  async #resolveImage(
    reference: string,
    { platform, from }: { readonly platform: Platform; readonly from: Instruction },
  ): Promise<FromStep> {
    let image: Image;
    try {
      image = await this.#options.resolveImage(reference, platform);
    } catch (cause) {
      throw baseError(reference, { cause, from, stages: this.#dockerfile.stages });
    }
    const { os, architecture, variant } = image.config;
    const actual: Platform = { os, architecture, ...(variant === undefined ? {} : { variant }) };
    const step: FromStep = {
      kind: "from",
      name: `FROM ${reference}`,
      location: from.location,
      platform: actual,
      source: { type: "image", reference, image },
    };
    this.#bases.set(reference, step);
    return step;
  }

  /** The file sets that instructions copy or mount from, by the name that they use. */
  async #fileSets(
    instructions: readonly Instruction[],
    place: { readonly index: number; readonly platform: Platform },
  ): Promise<ReadonlyMap<string, FileSet>> {
    const names = new Map(
      instructions.flatMap((instruction) => sourceNames(instruction).map((name) => [name, instruction] as const)),
    );
    const sets = [...names]
      .filter(([name]) => !name.includes("$"))
      .map(async ([name, instruction]) => [name, await this.#fileSet(name, { ...place, instruction })] as const);
    return new Map(await Promise.all(sets));
  }

  async #fileSet(
    name: string,
    {
      index,
      platform,
      instruction,
    }: { readonly index: number; readonly platform: Platform; readonly instruction: Instruction },
  ): Promise<FileSet> {
    const named = this.#namedContext(name);
    if (named?.type === "context") return { type: "context", name: named.name };
    if (named !== undefined)
      return { type: "step", step: await this.#imageStep(named.reference, { platform, from: instruction }) };
    const stage = this.#findStage(name, index) ?? this.#stageByNumber(name, { index, instruction });
    if (stage !== undefined) return { type: "step", step: (await this.#state(stage)).step };
    this.#refuseLaterStage(name, { index, instruction });
    if (name === "scratch") return { type: "step", step: scratchStep(platform) };
    return { type: "step", step: await this.#imageStep(name, { platform, from: instruction }) };
  }

  #stageByNumber(
    name: string,
    { index, instruction }: { readonly index: number; readonly instruction: Instruction },
  ): number | undefined {
    if (!/^\d+$/.test(name)) return undefined;
    const number = Number(name);
    if (number < index) return number;
    const reason = number === index ? "it is the stage itself" : `there are ${index} stages before this one`;
    throw new GraphError("STAGE_UNKNOWN", `Cannot copy from stage ${name}: invalid stage index ${name}: ${reason}`, {
      location: instruction.location,
      hint: "Stages count from 0; only earlier ones can be copied from",
    });
  }

  #refuseLaterStage(
    name: string,
    { index, instruction }: { readonly index: number; readonly instruction: Instruction },
  ): void {
    const later = this.#dockerfile.stages
      .slice(index)
      .some((stage) => stage.from.stageName?.toLowerCase() === name.toLowerCase());
    if (!later) return;
    throw new GraphError(
      "STAGE_UNKNOWN",
      `Cannot copy from stage "${name}": it does not stand before this one: circular dependency detected on stage: ${name}`,
      {
        location: instruction.location,
        hint: "Move the stage up",
      },
    );
  }
}

function scratchStep(platform: Platform): FromStep {
  return { kind: "from", name: "FROM scratch", location: undefined, platform, source: { type: "scratch" } };
}

/** `docker.io/library/alpine:latest` and `alpine` are one name: `alpine`. */
function familiarName(name: string): string {
  try {
    return familiarReference(parseReference(name)).replace(/:latest$/, "");
  } catch {
    return name;
  }
}

function sourceNames(instruction: Instruction): readonly string[] {
  if (instruction.kind === "COPY") return instruction.from === undefined ? [] : [instruction.from];
  if (instruction.kind !== "RUN") return [];
  return instruction.mounts.flatMap(({ options }) =>
    options.flatMap(([name, value]) => (name === "from" && value !== undefined && value !== "" ? [value] : [])),
  );
}

/** The error with its place; a name that is close to a stage's was probably meant to be that stage. */
function baseError(
  reference: string,
  { cause, from, stages }: { readonly cause: unknown; readonly from: Instruction; readonly stages: readonly Stage[] },
): unknown {
  if (!(cause instanceof OciError)) return withPlace(cause, from);
  const what =
    cause.code === "REFERENCE_INVALID" ? `failed to parse stage name "${reference}": ${cause.message}` : cause.message;
  const near = nearest(
    reference,
    stages.flatMap((stage) => (stage.from.stageName === undefined ? [] : [stage.from.stageName])),
  );
  return new GraphError("BASE_INVALID", `Cannot use image "${reference}": ${what}`, {
    location: from.location,
    cause,
    hint: near === undefined ? cause.hint : `Did you mean stage "${near}"?`,
  });
}

function withPlace(cause: unknown, { location }: Instruction): unknown {
  if (cause instanceof Error && !("location" in cause)) Object.assign(cause, { location });
  return cause;
}
