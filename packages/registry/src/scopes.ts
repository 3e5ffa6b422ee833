/**
 * Scopes of distribution's token authentication (`type:name:action,…`), those of the same resource made one; sorted,
 * so that the same rights give the same text. The name may hold colons.
 */
export function mergeScopes(scopes: readonly string[]): readonly string[] {
  const actions = new Map<string, Set<string>>();
  for (const scope of scopes) {
    const colon = scope.lastIndexOf(":");
    const resource = scope.slice(0, Math.max(colon, 0));
    const known = actions.get(resource) ?? new Set();
    for (const action of scope.slice(colon + 1).split(",")) known.add(action);
    actions.set(resource, known);
  }
  return [...actions].map(([resource, set]) => `${resource}:${[...set].toSorted().join(",")}`).toSorted();
}

/** The scope to pull from a repository, or to push to it and pull from it. */
export function repositoryScope(name: string, power: "pull" | "push"): string {
  return `repository:${name}:${power === "pull" ? "pull" : "pull,push"}`;
}
