/** Variables in the order in which they were first set; a later value takes the place of an earlier one. */
export type Scope = ReadonlyMap<string, string>;

/** `NAME=value` strings as a scope of their own, which its owner may change. */
export function scopeOf(env: readonly string[]): Map<string, string> {
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
