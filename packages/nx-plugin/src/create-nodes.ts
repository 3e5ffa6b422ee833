import { dirname } from "node:path";
import { imageTargets, type ImageTarget } from "./image-targets.ts";
import { type ImagePluginOptions, withDefaults } from "./plugin-options.ts";
import { readProject } from "./project.ts";
import { isObject } from "./read-json.ts";

/** What Nx tells a plugin. */
export interface PluginContext {
  readonly workspaceRoot: string;
  readonly nxJsonConfiguration: { readonly targetDefaults?: unknown };
}

/** The projects that a file adds targets to, by their roots. */
export interface PluginResult {
  projects: Record<string, { name: string; root: string; targets: Record<string, ImageTarget> }>;
}

/** A pattern of files, and what makes projects of those that match. */
export type NodesPlugin = readonly [
  pattern: string,
  create: (
    files: readonly string[],
    options: ImagePluginOptions | undefined,
    context: PluginContext,
  ) => Promise<[file: string, result: PluginResult][]>,
];

/**
 * Adds `image` and `image-push` to every project that has a Dockerfile in its directory: a directory with a
 * project.json or package.json.
 */
export const createNodes: NodesPlugin = ["**/Dockerfile", createAll];

/** The same under the name that Nx has for it before version 24. */
export const createNodesV2: NodesPlugin = [...createNodes];

async function createAll(
  files: readonly string[],
  given: ImagePluginOptions | undefined,
  { workspaceRoot, nxJsonConfiguration }: PluginContext,
): Promise<[string, PluginResult][]> {
  const options = withDefaults(given);
  const defaultOutputs = readDefaultOutputs(nxJsonConfiguration.targetDefaults);
  const results = files.map(async (file): Promise<[string, PluginResult]> => {
    const project = readProject(workspaceRoot, dirname(file));
    if (project === undefined) return [file, { projects: {} }];
    const { root, name } = project;
    const targets = await imageTargets(project, file, { workspaceRoot, options, defaultOutputs });
    return [file, { projects: { [root]: { name, root, targets } } }];
  });
  return Promise.all(results);
}

function readDefaultOutputs(targetDefaults: unknown): Readonly<Record<string, readonly string[]>> {
  if (!isObject(targetDefaults)) return {};
  const known = Object.entries(targetDefaults).flatMap(([name, target]) =>
    isObject(target) && Array.isArray(target["outputs"]) ? [[name, target["outputs"] as string[]] as const] : [],
  );
  return Object.fromEntries(known);
}
