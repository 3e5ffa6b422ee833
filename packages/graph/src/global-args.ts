import { type Dockerfile, DockerfileError, expandWord, ExpansionError, type Location } from "@varve/dockerfile";
import { platformArgs } from "./platform-args.ts";
import type { Platform } from "@varve/oci";
import type { GlobalArg } from "./used-args.ts";

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

/** The args before the first FROM. */
export interface GlobalArgs {
  /** Automatic platform args included. */
  readonly values: ReadonlyMap<string, string>;
  /** Those of the Dockerfile. */
  readonly declared: ReadonlyMap<string, GlobalArg>;
}

/**
 * The args that FROM sees, and that stages may declare again: automatic platform args, then those of the Dockerfile.
 * Dockerfile reference, "Understand how ARG and FROM interact".
 * @throws DockerfileError `BAD_EXPANSION`.
 */
export function expandGlobalArgs(
  { globalArgs, directives }: Dockerfile,
  { platform, buildPlatform, target, buildArgs, onArgUsed }: GlobalArgOptions,
): GlobalArgs {
  const values = new Map(platformArgs(platform, buildPlatform, target ?? "default"));
  const declared = new Map<string, GlobalArg>();
  for (const name of values.keys()) if (buildArgs.has(name)) values.set(name, buildArgs.get(name) ?? "");
  for (const { args, location } of globalArgs) {
    for (const { name, value } of args) {
      const given = buildArgs.get(name);
      if (given !== undefined) onArgUsed(name);
      const uses = new Set<string>();
      const scope = recordingScope(values, (used) => uses.add(used));
      const expand = (word: string): string => expandAt(word, { location, escape: directives.escape, scope });
      const chosen = given ?? (value === undefined ? undefined : expand(value));
      if (chosen !== undefined) values.set(name, chosen);
      const before = uses.has(name) ? (declared.get(name)?.uses ?? []) : [];
      declared.set(name, { name, value: values.get(name), location, uses: new Set([...uses, ...before]) });
    }
  }
  return { values, declared };
}

/** Values by name. */
export type Lookup = Pick<ReadonlyMap<string, string>, "get">;

/** `scope`, whose reader is told of each name that has a value. */
export function recordingScope(scope: Lookup, onUsed: (name: string) => void): Lookup {
  return {
    get(name) {
      const value = scope.get(name);
      if (value !== undefined) onUsed(name);
      return value;
    },
  };
}

/**
 * `word` of the instruction at `location`, with the variables of `scope`.
 * @throws DockerfileError `BAD_EXPANSION`.
 */
export function expandAt(
  word: string,
  { location, escape, scope }: { readonly location: Location; readonly escape: string; readonly scope: Lookup },
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
