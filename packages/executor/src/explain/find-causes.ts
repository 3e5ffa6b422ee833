import { explainDifference, type Difference } from "@varve/cache-key";
import type { Digest } from "@varve/oci";
import type { Cause } from "./miss-reason.ts";
import { pairSteps } from "./pair-steps.ts";
import type { BuildNotes, NotedInput, StepNote } from "./step-note.ts";

/** A cause; of `files` the two inputs, whose lists name the files. */
export interface FoundCause {
  readonly cause: Cause;
  readonly inputs?: { readonly before: Digest; readonly after: Digest };
}

/** Two builds of one Dockerfile beside each other. */
export interface Comparison {
  /**
   * In what the step at `position` differs from the one that it stands for in the earlier build: itself, then what it
   * stands on. Empty where nothing differs; undefined where the earlier build had no such step.
   */
  causes(position: number): readonly FoundCause[] | undefined;
  /** The same without what it stands on. */
  ownCauses(position: number): readonly FoundCause[] | undefined;
}

/** Parts of a definition that an instruction's own words make; the others come from elsewhere. */
const WORDS = new Set([
  "kind",
  "args",
  "script.name",
  "script.content",
  "mounts",
  "security",
  "devices",
  "instruction",
  "sources",
  "destination",
  "chown",
  "chmod",
  "link",
  "parents",
  "exclude",
  "unpack",
  "checksum",
  "path",
]);
/** What people call the other parts. */
const NAMES: Readonly<Record<string, string>> = {
  user: "USER",
  workdir: "WORKDIR",
  network: "--network",
  hostname: "hostname",
  extraHosts: "--add-host",
  ulimits: "--ulimit",
  shmSize: "--shm-size",
};
const PREFIX = "definition.";
const ENV = "env.";

/** Compares `after` with `before`; results that are not known yet count as changed. */
export function compareBuilds(after: BuildNotes, before: BuildNotes): Comparison {
  const pairs = pairSteps(after, before);
  const known = new Map<number, readonly FoundCause[]>();
  const own = (position: number): readonly FoundCause[] => {
    const found = known.get(position);
    if (found !== undefined) return found;
    const [now, then] = [after[position], before[pairs.get(position) ?? -1]];
    const causes = now === undefined || then === undefined ? [] : [...wordCauses(now, then), ...inputCauses(now, then)];
    known.set(position, causes);
    return causes;
  };
  const inputCauses = (now: StepNote, then: StepNote): readonly FoundCause[] =>
    now.inputs.flatMap((input, position) => inputCause(input, then.inputs[position]));
  const inputCause = (now: NotedInput, then: NotedInput | undefined): readonly FoundCause[] => {
    if (now.type === "step") return then?.type === "step" ? beneath(now.step, then.step) : [];
    if (then === undefined || then.type === "step" || now.digest === then.digest || now.name !== then.name) return [];
    if (now.type === "files")
      return [{ cause: { type: "files", source: now.name }, inputs: { before: then.digest, after: now.digest } }];
    return [{ cause: { type: "source", source: now.name, before: then.digest, after: now.digest } }];
  };
  const beneath = (now: number, then: number): readonly FoundCause[] =>
    compareChains({ after, before, pairs, own }, chainOf(after, now), chainOf(before, then));
  return {
    ownCauses: (position) => (pairs.has(position) ? own(position) : undefined),
    causes(position) {
      const [now, then] = [after[position], before[pairs.get(position) ?? -1]];
      if (now === undefined || then === undefined) return undefined;
      const causes = own(position);
      const standsOn = now.kind === "run" || (causes.length === 0 && now.definition[`${PREFIX}link`] !== "true");
      const [parent, oldParent] = [now.parent, then.parent];
      if (!standsOn || parent === undefined || oldParent === undefined) return distinct(causes);
      return distinct([...causes, ...beneath(parent, oldParent)]);
    },
  };
}

/** The step at `position` and all beneath it, the base first. */
function chainOf(notes: BuildNotes, position: number): readonly number[] {
  const chain: number[] = [];
  for (let next: number | undefined = position; next !== undefined; next = notes[next]?.parent) chain.push(next);
  return chain.toReversed();
}

interface Chains {
  readonly after: BuildNotes;
  readonly before: BuildNotes;
  readonly pairs: ReadonlyMap<number, number>;
  readonly own: (position: number) => readonly FoundCause[];
}

/** Why the file system that `now` makes differs from that of `then`: the base, then step by step. */
function compareChains(
  { after, before, pairs, own }: Chains,
  now: readonly number[],
  then: readonly number[],
): readonly FoundCause[] {
  const [base, oldBase] = [after[now[0] ?? -1], before[then[0] ?? -1]];
  const causes: FoundCause[] = base === undefined || oldBase === undefined ? [] : [...baseCauses(base, oldBase)];
  const left = new Set(then.slice(1));
  for (const position of now.slice(1)) {
    const step = after[position]!;
    const partner = pairs.get(position);
    const at = { stage: step.stage, position: step.position };
    if (partner === undefined || !left.delete(partner))
      causes.push({ cause: { type: "instruction-added", after: step.text, at } });
    else if (step.result === undefined || step.result !== before[partner]?.result)
      causes.push(...own(position).map((each) => ({ ...each, cause: { at, ...each.cause } })));
  }
  for (const gone of left) causes.push({ cause: { type: "instruction-removed", before: before[gone]!.text } });
  return causes.length > 0 ? causes : otherResult({ after, before, pairs, own }, now);
}

function otherResult({ after, before, pairs }: Chains, now: readonly number[]): readonly FoundCause[] {
  const position = now.slice(1).find((each) => {
    const [result, old] = [after[each]?.result, before[pairs.get(each) ?? -1]?.result];
    return result !== undefined && old !== undefined && result !== old;
  });
  if (position === undefined) return [];
  const step = after[position]!;
  return [{ cause: { type: "result", text: step.text, at: { stage: step.stage, position: step.position } } }];
}

function baseCauses(now: StepNote, then: StepNote): readonly FoundCause[] {
  if (now.base === undefined || then.base === undefined || now.result === then.result) return [];
  const side = ({ reference, digest }: NonNullable<StepNote["base"]>): { reference: string; digest?: Digest } => ({
    reference,
    ...(digest === undefined ? {} : { digest }),
  });
  return [{ cause: { type: "base", before: side(then.base), after: side(now.base) } }];
}

/** What differs in the definition, under the names that people gave it. */
function wordCauses(now: StepNote, then: StepNote): readonly FoundCause[] {
  const differences = explainDifference(then.definition, now.definition).map((each) => ({
    ...each,
    name: each.name.slice(PREFIX.length),
  }));
  const words = differences.filter(({ name }) => WORDS.has(name));
  const variables = differences
    .filter(({ name }) => name.startsWith(ENV))
    .map(({ name, before, after }) => variableCause({ name: name.slice(ENV.length), before, after }, now, then));
  const options = differences
    .filter(({ name }) => !WORDS.has(name) && !name.startsWith(ENV))
    .map(({ name, before, after }): Cause => ({ type: "option", name: NAMES[name] ?? name, ...sides(before, after) }));
  return [...instructionCauses(words, now, then), ...variables, ...options].map((cause) => ({ cause }));
}

function variableCause({ name, before, after }: Difference, now: StepNote, then: StepNote): Cause {
  const kind = now.buildArgs.includes(name) || then.buildArgs.includes(name) ? "ARG" : "ENV";
  return { type: "variable", kind, name, ...sides(before, after) };
}

function sides(
  before: string | undefined,
  after: string | undefined,
): { readonly before: string | undefined; readonly after: string | undefined } {
  return { before, after };
}

/** Other words, other values of variables that the words name, or what the words do not show: SHELL, a here-document. */
function instructionCauses(words: readonly Difference[], now: StepNote, then: StepNote): readonly Cause[] {
  if (words.length === 0) return [];
  if (now.text !== then.text) return [{ type: "instruction-changed", before: then.text, after: now.text }];
  const variables = explainDifference(then.variables, now.variables);
  if (variables.length > 0) return variables.map((each) => variableCause(each, now, then));
  return words.map((word) => hiddenWord(word));
}

function hiddenWord({ name, before, after }: Difference): Cause {
  if (name === "args") {
    const [old, fresh] = [shellOf(before), shellOf(after)];
    if (old !== fresh) return { type: "option", name: "SHELL", ...sides(old, fresh) };
    return { type: "option", name: "here-document", ...sides(undefined, undefined) };
  }
  return { type: "option", name, ...sides(before, after) };
}

/** The words before the script; undefined for arguments that were cut. */
function shellOf(args: string | undefined): string | undefined {
  try {
    return (JSON.parse(args ?? "") as readonly string[]).slice(0, -1).join(" ");
  } catch {
    return undefined;
  }
}

/** What came about several ways is told once, as it was met first. */
function distinct(causes: readonly FoundCause[]): readonly FoundCause[] {
  const known = new Map<string, FoundCause>();
  for (const each of causes) {
    const { type, at } = each.cause;
    const name = JSON.stringify({ ...each.cause, at: type === "variable" || type === "option" ? undefined : at });
    if (!known.has(name)) known.set(name, each);
  }
  return [...known.values()];
}
