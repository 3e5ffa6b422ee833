import {
  applyCheckDirective,
  assertChecks,
  checkDockerfile,
  dropSkipped,
  formatSource,
  type IgnoreMatcher,
  type ParsedDockerfile,
  parseCheck,
  parseDockerfile,
  type Warning,
} from "@varve/dockerfile";

/** Where every rule is explained. */
const RULES = "docs/checks.md";

/** Tells a build's warnings as its `# check=` directive has it. */
export interface Checks {
  /**
   * One line for each warning, once.
   * @throws DockerfileError `CHECK_FAILED` where the directive makes them errors.
   */
  report(warnings: readonly Warning[]): void;
}

export interface CheckContext {
  /** Takes the place of the Dockerfile's directive. */
  readonly override: string | undefined;
  /** Of the main context. */
  readonly ignore: IgnoreMatcher | undefined;
  readonly onWarning: (line: string) => void;
}

/** The checks of one build; what the Dockerfile's text tells is reported at once. */
export function openChecks(parsed: ParsedDockerfile, { override, ignore, onWarning }: CheckContext): Checks {
  const directive = override === undefined ? parsed.dockerfile.directives.check : parseCheck(override);
  const told = new Set<string>();
  const report = (warnings: readonly Warning[]): void => {
    const left = assertChecks(dropSkipped(warnings, parsed.dockerfile.text), directive);
    for (const line of left.map(describe)) {
      if (!told.has(line)) onWarning(line);
      told.add(line);
    }
  };
  report(checkDockerfile(parsed, { ignore, experimental: directive?.experimental }));
  return { report };
}

function describe({ rule, message, location }: Warning): string {
  return `${rule}: ${message} (${location.file}:${location.line}, ${RULES}#${rule.toLowerCase()})`;
}

/** `--check`: prints what the checks find, with the lines; 1 where they find something. */
export function showChecks({ text, file }: { readonly text: string; readonly file: string }): number {
  const parsed = parseDockerfile(text, { file });
  const { warnings } = applyCheckDirective(checkDockerfile(parsed), parsed.dockerfile.directives.check);
  for (const warning of warnings) {
    process.stdout.write(`WARNING ${describe(warning)}\n${formatSource(text, warning.location)}\n\n`);
  }
  const count = warnings.length;
  const found =
    count === 0 ? "no warnings found" : `${count} ${count === 1 ? "warning has" : "warnings have"} been found`;
  process.stdout.write(`Check complete, ${found}.\n`);
  return count === 0 ? 0 : 1;
}
