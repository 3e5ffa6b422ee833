import {
  applyCheckDirective,
  assertChecks,
  checkDockerfile,
  DockerfileError,
  dropSkipped,
  formatSource,
  type IgnoreMatcher,
  type Location,
  type ParsedDockerfile,
  parseCheck,
  parseDockerfile,
  type Warning,
} from "@varve/dockerfile";
import type { Call } from "./call.ts";
import { toJsonLocation, toJsonSource, writeJson } from "./source-json.ts";

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
  readonly onWarning: (line: string, location: Location) => void;
}

/** The checks of one build; what the Dockerfile's text tells is reported at once. */
export function openChecks(parsed: ParsedDockerfile, { override, ignore, onWarning }: CheckContext): Checks {
  const directive = override === undefined ? parsed.dockerfile.directives.check : parseCheck(override);
  const told = new Set<string>();
  const report = (warnings: readonly Warning[]): void => {
    const left = assertChecks(dropSkipped(warnings, parsed.dockerfile.text), directive);
    for (const warning of left) {
      const line = describe(warning);
      if (!told.has(line)) onWarning(line, warning.location);
      told.add(line);
    }
  };
  report(checkDockerfile(parsed, { ignore, experimental: directive?.experimental }));
  return { report };
}

function describe({ rule, message, location }: Warning): string {
  return `${rule}: ${message} (${location.file}:${location.line}, ${RULES}#${rule.toLowerCase()})`;
}

/** The Dockerfile that `--check` looks at. */
export interface CheckedSource extends Omit<CheckContext, "onWarning"> {
  readonly text: string;
  /** For messages. */
  readonly file: string;
}

/**
 * `--check`, `--call=check`: prints what the checks find; 1 where they find something. As JSON, a Dockerfile that can't
 * be parsed is a result too: BuildKit's `frontend.lint`.
 * @throws DockerfileError
 */
export function showChecks(source: CheckedSource, { format, ignoreStatus }: Call): number {
  const { warnings, error } = format === "json" ? findOrError(source) : { warnings: find(source), error: undefined };
  if (format === "json") writeJson(toJson(source, warnings, error));
  else process.stdout.write(formatWarnings(source.text, warnings));
  return ignoreStatus || (warnings.length === 0 && error === undefined) ? 0 : 1;
}

function find({ text, file, ignore, override }: CheckedSource): readonly Warning[] {
  const parsed = parseDockerfile(text, { file });
  const directive = override === undefined ? parsed.dockerfile.directives.check : parseCheck(override);
  const warnings = checkDockerfile(parsed, { ignore, experimental: directive?.experimental });
  return applyCheckDirective(warnings, directive).warnings;
}

interface Found {
  readonly warnings: readonly Warning[];
  readonly error: DockerfileError | undefined;
}

function findOrError(source: CheckedSource): Found {
  try {
    return { warnings: find(source), error: undefined };
  } catch (error) {
    if (error instanceof DockerfileError) return { warnings: [], error };
    throw error;
  }
}

function toJson({ text, file }: CheckedSource, warnings: readonly Warning[], error: Found["error"]): unknown {
  const place = error?.location === undefined ? {} : { location: toJsonLocation(error.location) };
  return {
    warnings: warnings.map(({ rule, message, location }) => ({
      ruleName: rule,
      url: `${RULES}#${rule.toLowerCase()}`,
      detail: message,
      location: toJsonLocation(location),
    })),
    sources: [{ fileName: file, language: "Dockerfile", data: toJsonSource(text) }],
    ...(error === undefined ? {} : { buildError: { message: error.message, ...place } }),
  };
}

function formatWarnings(text: string, warnings: readonly Warning[]): string {
  const shown = warnings.map((warning) => `WARNING ${describe(warning)}\n${formatSource(text, warning.location)}\n\n`);
  const count = warnings.length;
  const found =
    count === 0 ? "no warnings found" : `${count} ${count === 1 ? "warning has" : "warnings have"} been found`;
  return `${shown.join("")}Check complete, ${found}.\n`;
}
