import type { Warning } from "./instruction.ts";
import type { Location } from "./location.ts";

/** The rules of docs/checks.md, by BuildKit's names for them. */
export const CHECK_RULES = [
  "StageNameCasing",
  "FromAsCasing",
  "NoEmptyContinuation",
  "ConsistentInstructionCasing",
  "DuplicateStageName",
  "ReservedStageName",
  "JSONArgsRecommended",
  "MaintainerDeprecated",
  "WorkdirRelativePath",
  "UndefinedArgInFrom",
  "UndefinedVar",
  "MultipleInstructionsDisallowed",
  "LegacyKeyValueFormat",
  "RedundantTargetPlatform",
  "SecretsUsedInArgOrEnv",
  "InvalidDefaultArgInFrom",
  "FromPlatformFlagConstDisallowed",
  "ExposeProtoCasing",
  "ExposeInvalidFormat",
  "InvalidDefinitionDescription",
  "InvalidBaseImagePlatform",
  "CopyIgnoredFile",
] as const;

export type CheckRule = (typeof CHECK_RULES)[number];

/** Rules that are checked only where they are asked for. */
export const EXPERIMENTAL_RULES: readonly CheckRule[] = ["InvalidDefinitionDescription", "CopyIgnoredFile"];

/** Takes what a check found. */
export type Report = (rule: CheckRule, location: Location, message: string) => void;

/** A report and the warnings that it has taken so far. */
export function collectWarnings(): { readonly report: Report; readonly warnings: readonly Warning[] } {
  const warnings: Warning[] = [];
  return { report: (rule, location, message) => void warnings.push({ rule, message, location }), warnings };
}
