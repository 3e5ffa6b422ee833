import { type Dockerfile, DockerfileError, expandWord, ExpansionError, type Location } from "@varve/dockerfile";
import { platformArgs } from "./platform-args.ts";
import type { Platform } from "@varve/oci";

/** What decides the values of the args before the first FROM. */
export interface GlobalArgOptions {
  readonly platform: Platform;
  readonly buildPlatform: Platform;
  /** Name of the target's stage; undefined: it has none. */
  readonly target: string | undefined;
  readonly buildArgs: ReadonlyMap<string, string>;
  /** Is told which build args were used. */
  readonly onArgUsed: (name: string) => void;
}

/**
 * The args that FROM sees, and that stages may declare again: automatic platform args, then those of the Dockerfile.
 * Dockerfile reference, "Understand how ARG and FROM interact".
 * @throws DockerfileError `BAD_EXPANSION`.
 */
export function expandGlobalArgs(
  { globalArgs, directives }: Dockerfile,
  { platform, buildPlatform, target, buildArgs, onArgUsed }: GlobalArgOptions,
): ReadonlyMap<string, string> {
  const globals = new Map(platformArgs(platform, buildPlatform, target ?? "default"));
  for (const name of globals.keys()) if (buildArgs.has(name)) globals.set(name, buildArgs.get(name) ?? "");
  for (const { args, location } of globalArgs) {
    for (const { name, value } of args) {
      const given = buildArgs.get(name);
      if (given !== undefined) onArgUsed(name);
      const expand = (word: string): string => expandAt(word, { location, escape: directives.escape, scope: globals });
      const chosen = given ?? (value === undefined ? undefined : expand(value));
      if (chosen !== undefined) globals.set(name, chosen);
    }
  }
  return globals;
}

/**
 * `word` of the instruction at `location`, with the variables of `scope`.
 * @throws DockerfileError `BAD_EXPANSION`.
 */
export function expandAt(
  word: string,
  {
    location,
    escape,
    scope,
  }: { readonly location: Location; readonly escape: string; readonly scope: ReadonlyMap<string, string> },
): string {
  try {
    return expandWord(word, { lookup: (name) => scope.get(name), escape });
  } catch (cause) {
    if (!(cause instanceof ExpansionError)) throw cause;
    throw new DockerfileError(
      "BAD_EXPANSION",
      `Cannot expand: failed to process ${JSON.stringify(word)}: ${cause.message}`,
      { location, cause, word },
    );
  }
}
