import { checkIgnored } from "./check-ignored.ts";
import type { CheckRule, Report } from "./check-rules.ts";
import type { IgnoreMatcher } from "./dockerignore.ts";
import { DockerfileError } from "./errors.ts";
import { expandInstruction } from "./expand-instruction.ts";
import type { CmdInstruction, EntrypointInstruction, Instruction, Stage } from "./instruction.ts";
import type { Location } from "./location.ts";
import { createNearest, type FindNearest } from "./nearest.ts";

/** What the Dockerfile alone tells of a stage. */
interface StageState {
  /** Values of ENV and ARG; "" where only a build can know them. */
  readonly values: ReadonlyMap<string, string>;
  /** The environment holds nothing that the Dockerfile doesn't name: the stage begins with scratch in the end. */
  readonly isComplete: boolean;
  readonly hasWorkdir: boolean;
  readonly hasShell: boolean;
}

const BASE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const UNKNOWN: StageState = {
  values: new Map([["PATH", BASE_PATH]]),
  isComplete: false,
  hasWorkdir: false,
  hasShell: false,
};

/** Reports what depends on the instructions before: variables, working directories, shells, ports. */
export function checkStages(
  stages: readonly Stage[],
  { escape, ignore, report }: { escape: string; ignore: IgnoreMatcher | undefined; report: Report },
): void {
  const states = new Map<string, StageState>();
  const findNearest = createNearest();
  for (const { from, instructions } of stages) {
    const base = states.get(from.image.toLowerCase());
    const start = base ?? { ...UNKNOWN, isComplete: from.image === "scratch" };
    const values = new Map(start.values);
    const environment = new Map(start.values);
    let state: StageState = { ...start, values };
    for (const instruction of instructions)
      state = checkInstruction(instruction, { state, values, environment, escape, ignore, report, findNearest });
    if (from.stageName !== undefined) states.set(from.stageName.toLowerCase(), { ...state, values: environment });
  }
}

interface Context {
  readonly state: StageState;
  /** The state's; they grow from instruction to instruction. */
  readonly values: Map<string, string>;
  /** What stages built on this one inherit: no ARG. */
  readonly environment: Map<string, string>;
  readonly escape: string;
  readonly ignore: IgnoreMatcher | undefined;
  readonly report: Report;
  readonly findNearest: FindNearest;
}

/** The state after the instruction. */
function checkInstruction(written: Instruction, context: Context): StageState {
  const { state, report } = context;
  const expanded = expand(written, context);
  if (expanded === undefined) return state;
  const { instruction, undefinedNames } = expanded;
  for (const name of undefinedNames) reportVariable(name, written.location, context);
  if (instruction.kind === "SHELL") return { ...state, hasShell: true };
  if (instruction.kind === "WORKDIR")
    return checkWorkdir(instruction, { ...context, isKnown: undefinedNames.size === 0 });
  if (instruction.kind === "CMD" || instruction.kind === "ENTRYPOINT") checkCommand(instruction, context);
  if (instruction.kind === "EXPOSE")
    for (const port of instruction.ports) checkPort(port, instruction.location, report);
  if (instruction.kind === "COPY" || instruction.kind === "ADD") checkIgnored(instruction, context);
  setVariables(instruction, context);
  return state;
}

function setVariables(instruction: Instruction, { values, environment }: Context): void {
  if (instruction.kind === "ENV")
    for (const { key, value } of instruction.variables) {
      values.set(key, value);
      environment.set(key, value);
    }
  if (instruction.kind === "ARG")
    for (const { name, value } of instruction.args)
      if (value !== undefined || !values.has(name)) values.set(name, environment.get(name) ?? value ?? "");
}

function checkCommand(
  { kind, command, location }: CmdInstruction | EntrypointInstruction,
  { state, report }: Context,
): void {
  if (command.form === "exec" || state.hasShell) return;
  report(
    "JSONArgsRecommended",
    location,
    `JSON arguments recommended for ${kind} to prevent unintended behavior related to OS signals`,
  );
}

/** Undefined for an instruction that can't be expanded: the build will fail there. */
function expand(
  instruction: Instruction,
  { state, escape }: Context,
): { readonly instruction: Instruction; readonly undefinedNames: ReadonlySet<string> } | undefined {
  const undefinedNames = new Set<string>();
  const declared = instruction.kind === "ARG" ? instruction.args.map(({ name }) => name) : [];
  const onUndefined = (name: string): void => {
    if (!declared.includes(name)) undefinedNames.add(name);
  };
  try {
    const lookup = (name: string): string | undefined => state.values.get(name);
    return { instruction: expandInstruction(instruction, { lookup, escape, onUndefined }), undefinedNames };
  } catch (error) {
    if (error instanceof DockerfileError) return undefined;
    throw error;
  }
}

/** Where the base's environment is not known, only a name that looks like another one misspelled is worth a word. */
function reportVariable(name: string, location: Location, { state, report, findNearest }: Context): void {
  const { values, isComplete } = state;
  const similar = (): Iterable<string> =>
    [...values.keys()].filter((key) => isComplete || Math.abs(key.length - name.length) <= 1);
  const near = findNearest(name, { size: values.size, keys: similar });
  if (near === undefined && !isComplete) return;
  const hint = near === undefined ? "" : ` (did you mean $${near}?)`;
  report("UndefinedVar", location, `Usage of undefined variable '$${name}'${hint}`);
}

function checkWorkdir(
  { path, location }: { readonly path: string; readonly location: Location },
  { state, escape, report, isKnown }: Context & { readonly isKnown: boolean },
): StageState {
  const isAbsolute = path.startsWith("/") || (escape === "`" && /^(?:[A-Za-z]:)?[\\/]/.test(path));
  if (isAbsolute || !isKnown) return { ...state, hasWorkdir: true };
  if (!state.hasWorkdir)
    report(
      "WorkdirRelativePath",
      location,
      `Relative workdir "${path}" can have unexpected results if the base image changes`,
    );
  return state;
}

function checkPort(port: string, location: Location, report: Report): void {
  const [containerPort = "", ...outside] = port.split(":").toReversed();
  const protocol = containerPort.split("/")[1] ?? "";
  const warn = (rule: CheckRule, message: string): void => report(rule, location, message);
  if (protocol !== protocol.toLowerCase())
    warn("ExposeProtoCasing", `Defined protocol '${port}' in EXPOSE instruction should be lowercase`);
  if (outside.some((part) => part !== ""))
    warn(
      "ExposeInvalidFormat",
      `EXPOSE instruction should not define an IP address or host-port mapping, found '${port}'`,
    );
}
