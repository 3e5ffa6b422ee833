import {
  applyCheckDirective,
  assertChecks,
  checkDockerfile,
  formatSource,
  type ParsedDockerfile,
  parseCheck,
  parseDockerfile,
  type Warning,
} from "@varve/dockerfile";

/** Where every rule is explained. */
const RULES = "docs/checks.md";

/**
 * Checks a Dockerfile as a build does; `override` takes the place of its `# check=` directive. Gives one line for each
 * warning.
 * @throws DockerfileError `CHECK_FAILED` where the directive makes them errors.
 */
export function runChecks(parsed: ParsedDockerfile, override: string | undefined): readonly string[] {
  const directive = override === undefined ? parsed.dockerfile.directives.check : parseCheck(override);
  return assertChecks(checkDockerfile(parsed), directive).map(describe);
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
