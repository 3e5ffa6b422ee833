import { createIgnoreMatcher, type IgnorePattern, parseDockerignore } from "@varve/dockerfile";
import { posix } from "node:path";

/** A build context. */
export interface ContextFiles {
  /** From the workspace's root. */
  readonly directory: string;
  /** The ignore file's text. */
  readonly ignore: string | undefined;
  /** Files that are inputs whatever the ignore file says, from the workspace's root: what Nx leaves out once is out for all. */
  readonly kept: readonly string[];
}

/**
 * Nx inputs (file globs) for paths that are copied from a context: the files themselves, whatever is below directories,
 * less what the ignore file certainly leaves out. Never fewer files than a build reads.
 */
export function taskInputs(
  paths: readonly string[],
  { directory, ignore = "", kept }: ContextFiles,
): readonly string[] {
  const patterns = parseDockerignore(ignore);
  const lastException = patterns.findLastIndex(({ negated }) => negated);
  const included = paths.flatMap((path) => (path === "" ? wholeContext(patterns) : [path]));
  const toInput = (path: string): string => `{workspaceRoot}/${posix.join(directory, toGlob(path))}`;
  const isKept = (pattern: IgnorePattern): boolean => {
    const matcher = createIgnoreMatcher([pattern]);
    return kept.some((file) => matcher.matches(posix.relative(directory, file)).excluded);
  };
  return [
    ...included.flatMap((path) => (path === "" ? [toInput("**/*")] : [toInput(path), toInput(`${path}/**/*`)])),
    ...patterns
      .slice(lastException + 1)
      .filter((pattern) => !isKept(pattern))
      .flatMap(({ pattern }) => [`!${toInput(pattern)}`, `!${toInput(`${pattern}/**/*`)}`]),
  ];
}

/** Where an ignore file leaves out everything at first, only its exceptions are left; else "" for all. */
function wholeContext([first, ...rest]: readonly IgnorePattern[]): readonly string[] {
  if (first?.pattern !== "*" && first?.pattern !== "**") return [""];
  return rest.filter(({ negated }) => negated).map(({ pattern }) => pattern);
}

/** Wildcards of Go's filepath.Match as Nx's globs have them; what might mean something else there matches any character. */
function toGlob(path: string): string {
  return path
    .replaceAll(/\\(.)/g, "?")
    .replaceAll(/\[(?:\\.|[^\]\\])*\]/g, "?")
    .replaceAll(/[^\w./*?@ -]|@(?=\()/g, "?");
}
