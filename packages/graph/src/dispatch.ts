import {
  type AddInstruction,
  type Command,
  type CopyInstruction,
  type CopySourceWord,
  expandInstruction,
  type HealthcheckInstruction,
  type Instruction,
  type KeyValue,
  parseHeredocStart,
  parseTrigger,
  type RunInstruction,
} from "@varve/dockerfile";
import type { Healthcheck } from "@varve/oci";
import { GraphError } from "./errors.ts";
import { type GitSource, GitUrlError, parseGitUrl } from "./git-source.ts";
import { formatDuration, quoteGo } from "./go-format.ts";
import { destinationPath, joinPath, normalizeWorkdir } from "./paths.ts";
import { NON_ENV_ARGS, PROXY_ARGS } from "./platform-args.ts";
import { parsePorts } from "./ports.ts";
import { parseRunMount } from "./run-mounts.ts";
import { scopeOf } from "./scope.ts";
import { checkSignal } from "./signals.ts";
import type { ArgRecorder } from "./used-args.ts";
import {
  addHistory,
  addStep,
  commandArgs,
  declareArg,
  setVariable,
  type StageState,
  stepBase,
  variablesOf,
  workdirOf,
} from "./stage-state.ts";
import type { CopySource, FileSet, RunStep } from "./step.ts";

/** What instructions need beyond their stage. */
export interface DispatchContext {
  /** The file set that `--from` or `from=` names, for an instruction at this place. */
  readonly resolveFrom: (name: string, instruction: Instruction) => FileSet;
  readonly buildArgs: ReadonlyMap<string, string>;
  /** Global args, automatic platform args included. */
  readonly globals: ReadonlyMap<string, string>;
  readonly escape: string;
  readonly runDefaults: RunDefaults;
  /** Is told which build args were used. */
  readonly onArgUsed: (name: string) => void;
  readonly args: ArgRecorder;
}

/** What the command line says of all RUN steps. */
export type RunDefaults = Pick<RunStep, "hostname" | "extraHosts" | "ulimits" | "shmSize"> & {
  readonly network: RunStep["network"];
};

/** Lets one instruction change the stage. */
export function dispatch(state: StageState, raw: Instruction, context: DispatchContext): void {
  if (raw.kind === "ARG") return dispatchArgs(state, raw, context);
  const instruction = expandInstruction(raw, { lookup: (name) => state.scope.get(name), escape: context.escape });
  switch (instruction.kind) {
    case "ENV":
      return dispatchEnv(state, instruction.variables);
    case "LABEL":
      return dispatchLabel(state, instruction.labels);
    case "RUN":
      return dispatchRun(state, instruction, context);
    case "COPY":
    case "ADD":
      return dispatchCopy(state, instruction, context);
    case "WORKDIR":
      return dispatchWorkdir(state, instruction);
    case "CMD":
      return dispatchCmd(state, instruction.command);
    case "ENTRYPOINT":
      return dispatchEntrypoint(state, instruction.command);
    case "EXPOSE":
      return dispatchExpose(state, instruction);
    case "VOLUME":
      return dispatchVolume(state, instruction);
    case "USER":
      return configure(state, { User: instruction.user }, `USER ${instruction.user}`);
    case "STOPSIGNAL":
      checkSignal(instruction.signal, instruction.location);
      return configure(state, { StopSignal: instruction.signal }, `STOPSIGNAL ${instruction.signal}`);
    case "SHELL":
      return configure(state, { Shell: instruction.shell }, `SHELL [${instruction.shell.join(" ")}]`);
    case "HEALTHCHECK":
      return dispatchHealthcheck(state, instruction);
    case "MAINTAINER":
      state.author = instruction.maintainer;
      return addHistory(state, `MAINTAINER ${instruction.maintainer}`, { layer: false });
    case "ONBUILD":
      state.additions.triggers.push(instruction.trigger);
      return undefined;
    case "FROM":
      throw new Error("Cannot dispatch FROM: it starts a stage");
    default:
      return instruction satisfies never;
  }
}

/** Runs what the base's ONBUILD left for this stage; the triggers are gone from the config then. */
export function dispatchTriggers(state: StageState, from: Instruction, context: DispatchContext): void {
  const triggers = state.config.OnBuild ?? [];
  const { OnBuild: _, ...config } = state.config;
  state.config = config;
  for (const trigger of triggers) dispatch(state, parseTrigger(trigger, from.location), context);
}

function configure(state: StageState, change: Partial<StageState["config"]>, text: string): void {
  state.config = { ...state.config, ...change };
  addHistory(state, text, { layer: false });
}

function dispatchArgs(
  state: StageState,
  instruction: Extract<Instruction, { kind: "ARG" }>,
  context: DispatchContext,
): void {
  const shown: string[] = [];
  for (const arg of instruction.args) {
    const { name } = arg;
    const given = context.buildArgs.get(name);
    if (given !== undefined) context.onArgUsed(name);
    const own = given ?? defaultOf({ ...instruction, args: [arg] }, state, context);
    const value = own ?? context.globals.get(name);
    if (own === undefined && value !== undefined) context.args.use(name);
    else context.args.declare({ name, value, location: instruction.location });
    declareArg(state, name, value);
    if (value !== undefined && !NON_ENV_ARGS.includes(name)) setVariable(state, name, value);
    shown.push(value === undefined ? name : `${name}=${value}`);
  }
  addHistory(state, `ARG ${shown.join(" ")}`, { layer: false });
}

/** The default that an ARG of one variable gives; looked at only where no value was given. */
function defaultOf(
  instruction: Extract<Instruction, { kind: "ARG" }>,
  { scope }: StageState,
  { escape }: DispatchContext,
): string | undefined {
  return expandInstruction(instruction, { lookup: (name) => scope.get(name), escape }).args[0]?.value;
}

function dispatchEnv(state: StageState, variables: readonly KeyValue[]): void {
  const env = (state.additions.env ??= scopeOf(state.config.Env ?? []));
  for (const { key, value } of variables) {
    env.set(key, value);
    setVariable(state, key, value);
  }
  addHistory(state, `ENV ${formatPairs(variables)}`, { layer: false });
}

function dispatchLabel(state: StageState, labels: readonly KeyValue[]): void {
  for (const { key, value } of labels) state.additions.labels.set(key, value);
  addHistory(state, `LABEL ${formatPairs(labels)}`, { layer: false });
}

function formatPairs(pairs: readonly KeyValue[]): string {
  return pairs.map(({ key, value }) => `${key}=${value}`).join(" ");
}

function dispatchCmd(state: StageState, command: Command): void {
  const args = commandArgs(state, command);
  state.hasCommand = true;
  configure(state, { Cmd: args, ArgsEscaped: true }, `CMD [${args.map(quoteGo).join(" ")}]`);
}

function dispatchEntrypoint(state: StageState, command: Command): void {
  const args = commandArgs(state, command);
  const { Cmd: _, ...rest } = state.config;
  state.config = state.hasCommand ? state.config : rest;
  configure(state, { Entrypoint: args, ArgsEscaped: true }, `ENTRYPOINT [${args.map(quoteGo).join(" ")}]`);
}

function dispatchExpose(state: StageState, { ports, location }: Extract<Instruction, { kind: "EXPOSE" }>): void {
  const exposed = ports.flatMap((word) => parsePorts(word, location));
  const shown = [...new Set(exposed)].toSorted();
  for (const port of exposed) state.additions.ports.add(port);
  addHistory(state, `EXPOSE [${shown.join(" ")}]`, { layer: false });
}

function dispatchVolume(state: StageState, { volumes, location }: Extract<Instruction, { kind: "VOLUME" }>): void {
  if (volumes.includes(""))
    throw new GraphError("OPTION_INVALID", "Cannot use VOLUME: VOLUME specified can not be an empty string", {
      location,
    });
  for (const volume of volumes) state.additions.volumes.add(volume);
  addHistory(state, `VOLUME [${volumes.join(" ")}]`, { layer: false });
}

function dispatchHealthcheck(state: StageState, instruction: HealthcheckInstruction): void {
  const { test, interval = 0, timeout = 0, startPeriod = 0, startInterval = 0, retries = 0 } = instruction;
  const words =
    test.type === "NONE"
      ? ["NONE"]
      : test.command.form === "exec"
        ? ["CMD", ...test.command.args]
        : ["CMD-SHELL", test.command.script];
  const check: Healthcheck = {
    Test: words,
    ...(interval === 0 ? {} : { Interval: interval }),
    ...(timeout === 0 ? {} : { Timeout: timeout }),
    ...(startPeriod === 0 ? {} : { StartPeriod: startPeriod }),
    ...(startInterval === 0 ? {} : { StartInterval: startInterval }),
    ...(retries === 0 ? {} : { Retries: retries }),
  };
  const times = `Interval:${formatDuration(interval)} Timeout:${formatDuration(timeout)} StartPeriod:${formatDuration(startPeriod)} StartInterval:${formatDuration(startInterval)}`;
  configure(state, { Healthcheck: check }, `HEALTHCHECK {Test:[${words.join(" ")}] ${times} Retries:${retries}}`);
}

/** Linux's PATH_MAX, less the byte that ends a path. */
const MAX_PATH = 4095;

function dispatchWorkdir(state: StageState, { path, location }: Extract<Instruction, { kind: "WORKDIR" }>): void {
  const workdir = normalizeWorkdir(workdirOf(state), path);
  if (Buffer.byteLength(workdir) > MAX_PATH)
    throw new GraphError("WORKDIR_INVALID", `Cannot use WORKDIR: its path is longer than ${MAX_PATH} bytes`, {
      location,
    });
  state.config = { ...state.config, WorkingDir: workdir };
  const layer = workdir !== "/";
  if (layer) {
    addStep(state, {
      ...stepBase(state, `WORKDIR ${workdir}`, location),
      kind: "workdir",
      parent: state.step,
      path: joinPath("/", workdir),
      user: state.config.User ?? "",
    });
  }
  addHistory(state, `WORKDIR ${workdir}`, { layer });
}

function dispatchRun(state: StageState, instruction: RunInstruction, context: DispatchContext): void {
  const { runDefaults } = context;
  const workdir = workdirOf(state);
  const mountContext = {
    location: instruction.location,
    workdir,
    resolveFrom: (name: string) => context.resolveFrom(name, instruction),
  };
  const { args, script } = runArgs(state, instruction.command);
  addStep(state, {
    ...stepBase(state, instruction.text, instruction.location),
    kind: "run",
    parent: state.step,
    args,
    script,
    env: variablesOf(state).env,
    proxyEnv: proxyEnv(state, context.buildArgs),
    workdir: joinPath("/", workdir),
    user: state.config.User ?? "",
    mounts: instruction.mounts.map((flag) => parseRunMount(flag, mountContext)),
    network: choose(instruction, "network", {
      value: instruction.network,
      allowed: ["default", "none", "host"],
      fallback: runDefaults.network,
    }),
    security: choose(instruction, "security", {
      value: instruction.security,
      allowed: ["sandbox", "insecure"],
      fallback: "sandbox",
    }),
    devices: instruction.devices,
    hostname: runDefaults.hostname,
    extraHosts: runDefaults.extraHosts,
    ulimits: runDefaults.ulimits,
    shmSize: runDefaults.shmSize,
  });
  addHistory(state, `RUN ${[...shownArgs(state), ...args].join(" ")} # buildkit`, { layer: true });
}

/** A proxy arg that was given is set in upper and lower case, whichever it was. */
function proxyEnv(state: StageState, buildArgs: ReadonlyMap<string, string>): readonly string[] {
  return PROXY_ARGS.flatMap((name) => {
    const value = buildArgs.get(name) ?? buildArgs.get(name.toLowerCase()) ?? buildArgs.get(name.toUpperCase());
    return value === undefined || state.args.has(name) ? [] : [`${name}=${value}`];
  });
}

function choose<T extends string>(
  instruction: Instruction,
  name: string,
  {
    value,
    allowed,
    fallback,
  }: { readonly value: string | undefined; readonly allowed: readonly T[]; readonly fallback: T },
): T {
  if (value === undefined) return fallback;
  const found = allowed.find((each) => each === value);
  if (found !== undefined) return found;
  throw new GraphError(
    "OPTION_INVALID",
    `Cannot use --${name} "${value}": ${name} mode is not valid; wanted ${allowed.join(", ")}`,
    { location: instruction.location },
  );
}

/** Declared args with the values in force, as history shows them before a command. */
function shownArgs(state: StageState): string[] {
  const args = [...state.args].map(([name, value]) => `${name}=${state.scope.get(name) ?? value ?? ""}`);
  return args.length === 0 ? [] : [`|${args.length}`, ...args];
}

const SCRIPT_DIRECTORY = "/dev/pipes";

/**
 * A heredoc that is the whole command is its script; one that starts with `#!` is a program of its own; others are
 * handed to the shell as they stand.
 */
function runArgs(state: StageState, command: Command): Pick<RunStep, "args" | "script"> {
  if (command.form === "exec" || command.heredocs.length === 0)
    return { args: commandArgs(state, command), script: undefined };
  const [first] = command.heredocs;
  const isWhole =
    first !== undefined && command.heredocs.length === 1 && parseHeredocStart(command.script) !== undefined;
  const shell = (script: string): readonly string[] => commandArgs(state, { form: "shell", script, heredocs: [] });
  if (!isWhole) {
    const bodies = command.heredocs.map(({ content, name }) => `\n${content}${name}`).join("");
    return { args: shell(command.script + bodies), script: undefined };
  }
  if (!first.content.startsWith("#!")) return { args: shell(first.content), script: undefined };
  return { args: shell(`${SCRIPT_DIRECTORY}/${first.name}`), script: { name: first.name, content: first.content } };
}

function dispatchCopy(
  state: StageState,
  instruction: CopyInstruction | AddInstruction,
  context: DispatchContext,
): void {
  const from =
    instruction.kind === "COPY" && instruction.from !== undefined && instruction.from !== ""
      ? context.resolveFrom(instruction.from, instruction)
      : ({ type: "context", name: "" } as const);
  const add = instruction.kind === "ADD" ? instruction : undefined;
  const sources = instruction.sources.map((source) => copySource(source, { instruction, from }));
  const git = sources.find((source) => source.type === "git");
  checkChecksum(add, sources);
  addStep(state, {
    ...stepBase(state, instruction.text, instruction.location),
    kind: "copy",
    parent: state.step,
    instruction: instruction.kind,
    sources,
    destination: destinationPath(workdirOf(state), instruction.destination),
    chown: instruction.chown || undefined,
    chmod: instruction.chmod || undefined,
    // BuildKit does not merge a layer whose modes it has to change.
    link: instruction.link && (instruction.chmod ?? "") === "",
    parents: instruction.parents,
    exclude: instruction.exclude,
    checksum: (add?.checksum ?? "") === "" ? git?.git.checksum : add?.checksum,
    unpack: add?.unpack,
  });
  addHistory(state, copyHistory(instruction), { layer: true });
}

function copyHistory(instruction: CopyInstruction | AddInstruction): string {
  const flags = [
    ...(instruction.parents ? ["--parents"] : []),
    ...(instruction.chown === undefined || instruction.chown === "" ? [] : [`--chown=${instruction.chown}`]),
    ...(instruction.chmod === undefined || instruction.chmod === "" ? [] : [`--chmod=${instruction.chmod}`]),
  ];
  const words = instruction.sources.flatMap((source) => (source.kind === "word" ? [source.word] : []));
  const heredocs = instruction.sources.flatMap((source) =>
    source.kind === "heredoc" ? [`<<${source.heredoc.name}`] : [],
  );
  return [instruction.kind, ...flags, ...words, ...heredocs, instruction.destination, "# buildkit"].join(" ");
}

interface SourceContext {
  readonly instruction: CopyInstruction | AddInstruction;
  readonly from: FileSet;
}

function copySource(source: CopySourceWord, { instruction, from }: SourceContext): CopySource {
  if (source.kind === "heredoc") return { type: "inline", name: source.heredoc.name, content: source.heredoc.content };
  const { word } = source;
  const git = gitSource(word, instruction);
  const isHttp = git === undefined && /^https?:\/\//.test(word);
  if (git === undefined && !isHttp) return { type: "path", from, path: word };
  if (instruction.kind === "COPY")
    throw unsupported(instruction, `source can't be ${isHttp ? "a URL" : "a git ref"} for COPY`, word);
  return git === undefined
    ? { type: "http", url: word }
    : { type: "git", url: word, git: keepGitDir(git, instruction) };
}

function unsupported(instruction: CopyInstruction | AddInstruction, reason: string, word: string): GraphError {
  return new GraphError("COPY_UNSUPPORTED", `Cannot ${instruction.kind} "${word}": ${reason}`, {
    location: instruction.location,
    word,
    hint: instruction.kind === "COPY" ? "Use ADD" : undefined,
  });
}

function gitSource(word: string, instruction: CopyInstruction | AddInstruction): GitSource | undefined {
  try {
    return parseGitUrl(word);
  } catch (error) {
    if (!(error instanceof GitUrlError)) throw error;
    throw unsupported(instruction, error.message, word);
  }
}

function keepGitDir(git: GitSource, add: AddInstruction): GitSource {
  if (add.keepGitDir !== undefined && git.keepGitDir !== undefined && add.keepGitDir !== git.keepGitDir)
    throw unsupported(add, "inconsistent keep-git-dir configuration", git.remote);
  return { ...git, keepGitDir: git.keepGitDir ?? add.keepGitDir ?? false };
}

function checkChecksum(add: AddInstruction | undefined, sources: readonly CopySource[]): void {
  if (add?.checksum === undefined || add.checksum === "") return;
  const [source, ...others] = sources;
  const invalid = (reason: string): GraphError =>
    new GraphError("COPY_UNSUPPORTED", `Cannot use --checksum: ${reason}`, { location: add.location });
  if (source === undefined || others.length > 0) throw invalid("checksum can't be specified for multiple sources");
  if (source.type !== "http" && source.type !== "git") throw invalid("checksum requires HTTP(S) or Git sources");
  if (source.type === "git" && source.git.checksum !== undefined && source.git.checksum !== add.checksum)
    throw invalid(`checksum mismatch "${add.checksum}" != "${source.git.checksum}"`);
  if (source.type === "http" && !/^sha256:[0-9a-f]{64}$/.test(add.checksum))
    throw invalid(`invalid checksum digest format: "${add.checksum}"; wanted sha256: and 64 lower-case hex digits`);
}
