import { posix } from "node:path";
import { type Project, readProject } from "./project.ts";

/** One member of a target's `dependsOn`. */
export type TargetDependency = string | { readonly target: string; readonly projects: string[] };

/** What Nx takes for the outputs of a target that names none. */
const DEFAULT_OUTPUTS = [
  "{workspaceRoot}/dist/{projectRoot}",
  "{projectRoot}/dist",
  "{projectRoot}/build",
  "{projectRoot}/public",
];

export interface BuildDependenciesOptions {
  readonly workspaceRoot: string;
  /** The project whose image it is. */
  readonly project: Project;
  /** Targets that may make what is copied. */
  readonly targets: readonly string[];
  /** `outputs` of nx.json's targetDefaults, by target. */
  readonly defaults: Readonly<Record<string, readonly string[]>>;
}

/** The targets whose outputs hold one of these paths (from the workspace's root): they are to run before. */
export function buildDependencies(
  paths: readonly string[],
  { workspaceRoot, project, targets, defaults }: BuildDependenciesOptions,
): readonly TargetDependency[] {
  const owners = new Map(
    [project.root, ...paths.flatMap(directoriesOf)].flatMap((root) => {
      const owner = root === project.root ? project : readProject(workspaceRoot, root);
      return owner === undefined ? [] : [[root, owner] as const];
    }),
  );
  return targets.flatMap((target) => {
    const makers = [...owners.values()].filter((owner) => {
      const outputs = owner.outputs[target] ?? defaults[target] ?? DEFAULT_OUTPUTS;
      return paths.some((path) => outputs.some((output) => isWithin(path, outputPath(output, owner))));
    });
    return makers.map(({ root, name }) => (root === project.root ? target : { target, projects: [name] }));
  });
}

/** Directories that may be the project which makes `path`: those above it, and for `dist/a/b` those above `a/b`. */
function directoriesOf(path: string): readonly string[] {
  const names = path.split("/");
  const starts = [0, 1];
  return starts.flatMap((start) =>
    names.slice(start).map((_, length) => names.slice(start, start + length + 1).join("/") || "."),
  );
}

/** The part of an output before any wildcard, from the workspace's root. */
function outputPath(output: string, { root, name }: Project): string {
  const path = output
    .replace(/^\{workspaceRoot\}\/?/, "")
    .replaceAll("{projectRoot}", root)
    .replaceAll("{projectName}", name)
    .replace(/\/?[^/]*[*?{].*$/, "");
  return posix.normalize(path === "" ? "." : path);
}

function isWithin(path: string, directory: string): boolean {
  return directory !== "." && (path === directory || path.startsWith(`${directory}/`));
}
