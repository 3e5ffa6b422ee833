import { checkDescriptions } from "./check-descriptions.ts";
import { checkFroms } from "./check-from.ts";
import { type CheckRule, collectWarnings, EXPERIMENTAL_RULES } from "./check-rules.ts";
import { dropSkipped } from "./check-comments.ts";
import { checkStages } from "./check-stages.ts";
import { checkCasing, checkForms, checkRepetition, checkSecrets, checkStageNames } from "./check-words.ts";
import type { IgnoreMatcher } from "./dockerignore.ts";
import { DockerfileError } from "./errors.ts";
import type { Directives, Warning } from "./instruction.ts";
import type { ParsedDockerfile } from "./parse-dockerfile.ts";

export interface CheckOptions {
  /** Experimental rules to check as well; else those of the `# check=` directive. */
  readonly experimental?: readonly string[] | "all" | undefined;
  /** What the main context leaves out. */
  readonly ignore?: IgnoreMatcher | undefined;
}

/** Which rules fail the build, of those that were broken. */
export interface CheckResult {
  /** Those that the directive does not skip. */
  readonly warnings: readonly Warning[];
  /** Names of rules, each once; none where the directive does not say `error=true`. */
  readonly failed: readonly string[];
}

/**
 * The rules of docs/checks.md that a Dockerfile breaks, in the order of its lines: BuildKit's build checks, but for
 * InvalidBaseImagePlatform, which needs the images.
 */
export function checkDockerfile(
  { dockerfile, emptyContinuations }: ParsedDockerfile,
  options: CheckOptions = {},
): readonly Warning[] {
  const { directives, stages, text } = dockerfile;
  const { report, warnings } = collectWarnings();
  for (const location of emptyContinuations) report("NoEmptyContinuation", location, "Empty continuation line");
  checkStageNames(stages, report);
  checkCasing(stages, report);
  checkForms(stages, report);
  checkFroms(dockerfile, { escape: directives.escape, report });
  checkStages(stages, { escape: directives.escape, ignore: options.ignore, report });
  for (const stage of stages) {
    checkRepetition(stage, report);
    checkSecrets(stage, report);
  }
  checkDescriptions(dockerfile, report);
  const experimental = options.experimental ?? directives.check?.experimental ?? [];
  return dropSkipped(warnings, text)
    .filter(({ rule }) => !EXPERIMENTAL_RULES.includes(rule as CheckRule) || has(experimental, rule))
    .toSorted((a, b) => a.location.line - b.location.line);
}

/** What is left of `warnings` after `skip=`, and which of it `error=true` makes fail. */
export function applyCheckDirective(warnings: readonly Warning[], check: Directives["check"]): CheckResult {
  const left = warnings.filter(({ rule }) => !has(check?.skip ?? [], rule));
  return { warnings: left, failed: check?.error === true ? [...new Set(left.map(({ rule }) => rule))] : [] };
}

/**
 * The warnings that the directive leaves.
 * @throws DockerfileError `CHECK_FAILED` with the place of the first where the directive says `error=true`.
 */
export function assertChecks(warnings: readonly Warning[], check: Directives["check"]): readonly Warning[] {
  const { warnings: left, failed } = applyCheckDirective(warnings, check);
  if (failed.length === 0) return left;
  throw new DockerfileError("CHECK_FAILED", `lint violation found for rules: ${failed.join(", ")}`, {
    location: left[0]?.location,
    hint: "docs/checks.md explains each rule; # check=skip=RULE leaves one out",
  });
}

function has(names: readonly string[] | "all", rule: string): boolean {
  return names === "all" || names.some((name) => name.toLowerCase() === rule.toLowerCase());
}
