import { DockerfileError } from "./errors.ts";
import { patternSource } from "./path-pattern.ts";

/** One line of an ignore file. */
export interface IgnorePattern {
  /** As it was written. */
  readonly text: string;
  /** Counts from 1. */
  readonly line: number;
  /** Cleaned: no slashes at its ends, no "." and "..". */
  readonly pattern: string;
  /** `!`: includes again what an earlier line left out. */
  readonly negated: boolean;
}

/** What an ignore file says of a path, and the line that decided it. */
export interface IgnoreMatch {
  readonly excluded: boolean;
  readonly pattern?: IgnorePattern;
}

/** Tells which paths of a context are left out. Paths are relative, "/" between names. */
export interface IgnoreMatcher {
  readonly patterns: readonly IgnorePattern[];
  matches(path: string): IgnoreMatch;
  /** True where nothing below the excluded directory `path` can be included again. */
  canSkipDirectory(path: string): boolean;
}

/** The patterns of an ignore file: Docker's build context documentation, ".dockerignore files". */
export function parseDockerignore(text: string): readonly IgnorePattern[] {
  return text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .flatMap((raw, index) => {
      if (raw.startsWith("#")) return [];
      const trimmed = raw.trim();
      if (trimmed === "") return [];
      const negated = trimmed.startsWith("!");
      const pattern = cleanPattern(negated ? trimmed.slice(1).trim() : trimmed);
      return pattern === "" && !negated ? [] : [{ text: trimmed, line: index + 1, pattern, negated }];
    });
}

function cleanPattern(pattern: string): string {
  const names: string[] = [];
  for (const name of pattern.split("/")) {
    if (name === "..") names.pop();
    else if (name !== "" && name !== ".") names.push(name);
  }
  return names.join("/");
}

interface Rule {
  readonly source: IgnorePattern;
  readonly test: (path: string) => boolean;
}

/**
 * A matcher for these patterns: the last one that matches a path or a directory above it decides.
 * @throws DockerfileError `SYNTAX` for a pattern that is damaged.
 */
export function createIgnoreMatcher(patterns: readonly IgnorePattern[]): IgnoreMatcher {
  const rules = patterns.map(createRule);
  const negated = patterns.filter((pattern) => pattern.negated);
  return {
    patterns,
    matches(path) {
      for (let position = rules.length - 1; position >= 0; position -= 1) {
        const rule = rules[position];
        if (rule !== undefined && matchesAny(rule, path))
          return { excluded: !rule.source.negated, pattern: rule.source };
      }
      return { excluded: false };
    },
    canSkipDirectory: (path) => !negated.some(({ pattern }) => mayMatchBelow(pattern, path)),
  };
}

function createRule(source: IgnorePattern): Rule {
  if (source.pattern === "" && source.negated)
    throw new DockerfileError(
      "SYNTAX",
      `Cannot use ignore pattern "${source.text}" in line ${source.line}: illegal exclusion pattern; wanted a path behind the "!"`,
    );
  if (!/[*?[\\]/.test(source.pattern)) return { source, test: (path) => path === source.pattern };
  const expression = patternSource(source.pattern, { doubleStar: true });
  if (expression === undefined)
    throw new DockerfileError(
      "SYNTAX",
      `Cannot use ignore pattern "${source.text}" in line ${source.line}: syntax error in pattern`,
    );
  const compiled = new RegExp(`^${expression}$`, "su");
  return { source, test: (path) => compiled.test(path) };
}

function matchesAny({ test }: Rule, path: string): boolean {
  if (test(path)) return true;
  for (let slash = path.lastIndexOf("/"); slash > 0; slash = path.lastIndexOf("/", slash - 1)) {
    if (test(path.slice(0, slash))) return true;
  }
  return false;
}

/** False only where the pattern's first names, as far as they are plain, lead elsewhere. */
function mayMatchBelow(pattern: string, directory: string): boolean {
  const names = pattern.split("/");
  for (const [position, name] of directory.split("/").entries()) {
    const wanted = names[position];
    if (wanted === undefined) return true;
    if (/[*?[\\]/.test(wanted)) return true;
    if (wanted !== name) return false;
  }
  return true;
}
