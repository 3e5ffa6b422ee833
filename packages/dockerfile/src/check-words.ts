import type { Report } from "./check-rules.ts";
import type { FromInstruction, Instruction, Stage } from "./instruction.ts";

const RESERVED = ["context", "scratch"];

/** Reports what is wrong with the names of stages. */
export function checkStageNames(stages: readonly Stage[], report: Report): void {
  const seen = new Set<string>();
  for (const { from } of stages) {
    const { stageName: written, location } = from;
    if (written === undefined) continue;
    const name = written.toLowerCase();
    if (written !== name) report("StageNameCasing", location, `Stage name '${written}' should be lowercase`);
    if (RESERVED.includes(name))
      report("ReservedStageName", location, `Stage name should not use the same name as reserved stage "${name}"`);
    if (seen.has(name))
      report("DuplicateStageName", location, `Duplicate stage name "${name}", stage names should be unique`);
    seen.add(name);
  }
}

/** Reports keywords whose case differs from the others': all of the file's, and AS from its FROM. */
export function checkCasing(stages: readonly Stage[], report: Report): void {
  const instructions = stages.flatMap(({ from, instructions: others }): Instruction[] => [from, ...others]);
  const keywords = instructions.map(({ keyword, kind }) => keyword ?? kind);
  const lower = keywords.filter((keyword) => keyword === keyword.toLowerCase()).length;
  const upper = keywords.filter((keyword) => keyword === keyword.toUpperCase()).length;
  const isLower = lower > upper;
  for (const { keyword, location } of instructions) {
    if (keyword === undefined || keyword === (isLower ? keyword.toLowerCase() : keyword.toUpperCase())) continue;
    const wanted = isLower ? "lowercase" : "uppercase";
    report(
      "ConsistentInstructionCasing",
      location,
      `Command '${keyword}' should match the case of the command majority (${wanted})`,
    );
  }
  for (const { from } of stages) checkAs(from, report);
}

/** A FROM of mixed case is for the other rule alone. */
function checkAs({ keyword, asKeyword, location }: FromInstruction, report: Report): void {
  if (keyword === undefined || asKeyword === undefined) return;
  const isLower = keyword === keyword.toLowerCase();
  if (!isLower && keyword !== keyword.toUpperCase()) return;
  if (asKeyword === (isLower ? asKeyword.toLowerCase() : asKeyword.toUpperCase())) return;
  report("FromAsCasing", location, `'${asKeyword}' and '${keyword}' keywords' casing do not match`);
}

/** Reports forms of single instructions that are out of use. */
export function checkForms(stages: readonly Stage[], report: Report): void {
  for (const instruction of stages.flatMap(({ instructions }) => instructions)) {
    const { kind, location } = instruction;
    if (kind === "MAINTAINER")
      report("MaintainerDeprecated", location, "Maintainer instruction is deprecated in favor of using label");
    if (kind !== "ENV" && kind !== "LABEL") continue;
    const pairs = instruction.kind === "ENV" ? instruction.variables : instruction.labels;
    if (pairs.some(({ legacy }) => legacy === true))
      report(
        "LegacyKeyValueFormat",
        location,
        `"${kind} key=value" should be used instead of legacy "${kind} key value" format`,
      );
  }
}

const ONLY_LAST: readonly Instruction["kind"][] = ["CMD", "ENTRYPOINT", "HEALTHCHECK"];

/** Reports instructions that a later one of the same stage makes useless. */
export function checkRepetition({ instructions }: Stage, report: Report): void {
  const last = new Map<Instruction["kind"], Instruction>();
  for (const instruction of instructions) {
    const { kind } = instruction;
    if (!ONLY_LAST.includes(kind)) continue;
    const before = last.get(kind);
    if (before !== undefined)
      report(
        "MultipleInstructionsDisallowed",
        before.location,
        `Multiple ${kind} instructions should not be used in the same stage because only the last one will be used`,
      );
    last.set(kind, instruction);
  }
}

/** True for a variable whose name says that its value is to be kept to oneself. */
export function soundsSecret(name: string): boolean {
  return SECRET.test(name) && !NO_SECRET.test(name);
}

const SECRET = /(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)/i;
const NO_SECRET = /(?:_|^)(?:public|file|version)(?:_|$)/i;

/** Reports variables whose names sound like secrets: they stay readable in the image and its history. */
export function checkSecrets({ instructions }: Stage, report: Report): void {
  for (const instruction of instructions) {
    const { kind, location } = instruction;
    if (kind !== "ARG" && kind !== "ENV") continue;
    const names =
      instruction.kind === "ARG"
        ? instruction.args.map(({ name }) => name)
        : instruction.variables.map(({ key }) => key);
    for (const name of names.filter(soundsSecret))
      report(
        "SecretsUsedInArgOrEnv",
        location,
        `Do not use ARG or ENV instructions for sensitive data (${kind} "${name}")`,
      );
  }
}
