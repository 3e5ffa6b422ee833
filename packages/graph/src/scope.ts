/** Variables in the order in which they were first set; a later value takes the place of an earlier one. */
export type Scope = ReadonlyMap<string, string>;

/** `scope` with one variable set. */
export function setVariable(scope: Scope, name: string, value: string): Scope {
  return new Map([...scope, [name, value]]);
}

/** `NAME=value` strings as a scope. */
export function scopeOf(env: readonly string[]): Scope {
  return new Map(
    env.map((pair) => {
      const equals = pair.indexOf("=");
      return equals < 0 ? [pair, ""] : [pair.slice(0, equals), pair.slice(equals + 1)];
    }),
  );
}

/** A scope as `NAME=value` strings. */
export function envOf(scope: Scope): readonly string[] {
  return [...scope].map(([name, value]) => `${name}=${value}`);
}

/** `env` with one variable set, in its place where it was there. */
export function setEnv(env: readonly string[], name: string, value: string): readonly string[] {
  return envOf(setVariable(scopeOf(env), name, value));
}
