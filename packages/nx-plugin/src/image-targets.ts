import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { buildDependencies, type TargetDependency } from "./build-dependencies.ts";
import { type CopiedPath, copiedPaths } from "./copied-paths.ts";
import { buildWords, fillIn, type ImagePlan, pushCommand, quote } from "./build-words.ts";
import { nearestConfigFile, readImageConfig } from "./image-config.ts";
import type { ImagePluginOptions } from "./plugin-options.ts";
import type { Project } from "./project.ts";
import { isObject, readJson } from "./read-json.ts";
import { taskInputs } from "./task-inputs.ts";

/** A target, as Nx has it. */
export interface ImageTarget {
  readonly executor: "nx:run-commands";
  readonly options: { readonly command: string };
  readonly dependsOn: TargetDependency[];
  readonly cache?: boolean;
  readonly inputs?: (
    | string
    | { readonly dependentTasksOutputFiles: string }
    | { readonly externalDependencies: string[] }
  )[];
  readonly outputs?: string[];
  readonly metadata: {
    readonly technologies: string[];
    readonly description: string;
    readonly help: { readonly command: string; readonly example: object };
  };
}

export interface ImageTargetsOptions {
  readonly workspaceRoot: string;
  readonly options: Required<ImagePluginOptions>;
  /** `outputs` of nx.json's targetDefaults, by target. */
  readonly defaultOutputs: Readonly<Record<string, readonly string[]>>;
}

/** The targets for the project whose directory holds `dockerfile` (from the workspace's root). */
export async function imageTargets(
  project: Project,
  dockerfile: string,
  setting: ImageTargetsOptions,
): Promise<Readonly<Record<string, ImageTarget>>> {
  const { workspaceRoot, options } = setting;
  const config = readImageConfig(workspaceRoot, project.root);
  const context = config?.context ?? (options.context === "workspace" ? "." : project.root);
  const configFile = config?.file ?? nearestConfigFile(workspaceRoot, context);
  const output = fillIn(options.output, project);
  const plan: ImagePlan = { project, dockerfile, context, config, configFile, output };
  return {
    [options.targetName]: await buildTarget(plan, setting),
    [options.pushTargetName]: pushTarget(plan, setting),
  };
}

async function buildTarget(plan: ImagePlan, setting: ImageTargetsOptions): Promise<ImageTarget> {
  const { project, dockerfile, context, config, configFile, output } = plan;
  const { workspaceRoot, options, defaultOutputs } = setting;
  const copied = await readCopiedPaths(plan, workspaceRoot);
  const ignoreFile = [`${dockerfile}.dockerignore`, join(context, ".dockerignore")].find((file) =>
    existsSync(join(workspaceRoot, file)),
  );
  const files = [dockerfile, ignoreFile, configFile].filter((file) => file !== undefined);
  const contexts = new Map([...(config?.contexts ?? []), ["", context]]);
  // An ignore file speaks of its own context alone, but what Nx leaves out is left out everywhere.
  const isIgnoring = ignoreFile !== undefined && copied.every((each) => each.context === "");
  const ignore = isIgnoring ? readText(workspaceRoot, ignoreFile) : undefined;
  const inputs = [...contexts].flatMap(([name, directory]) => {
    const paths = copied.filter((each) => each.context === name).map(({ path }) => path);
    return paths.length === 0 ? [] : taskInputs(paths, { directory, ignore, kept: files });
  });
  const layout = `--output ${quote(`type=oci,tar=false,dest=${output}`)}`;
  const paths = copied.map((each) => join(contexts.get(each.context) ?? context, each.path));
  return {
    executor: "nx:run-commands",
    options: {
      command: `rm -rf ${quote(output)} && varve build ${layout} --output type=image ${buildWords(plan, options)}`,
    },
    dependsOn: [
      ...buildDependencies(paths, { workspaceRoot, project, targets: options.buildTargets, defaults: defaultOutputs }),
    ],
    cache: true,
    inputs: [
      ...files.map((file) => `{workspaceRoot}/${file}`),
      ...inputs,
      { dependentTasksOutputFiles: "**/*" },
      ...(dependsOnVarve(workspaceRoot) ? [{ externalDependencies: ["varve"] }] : []),
    ],
    outputs: [`{workspaceRoot}/${output}`],
    metadata: describe(`Builds the image of ${dockerfile}`, { args: ["--no-cache"] }),
  };
}

/** A Dockerfile that does not build is no reason for Nx to fail: everything is its input, and the build says why. */
async function readCopiedPaths(
  { dockerfile, config }: ImagePlan,
  workspaceRoot: string,
): Promise<readonly CopiedPath[]> {
  try {
    return await copiedPaths(readText(workspaceRoot, dockerfile), {
      target: config?.target,
      buildArgs: config?.buildArgs ?? new Map(),
      contexts: config?.contexts.keys() ?? [],
    });
  } catch {
    return [{ context: "", path: "" }];
  }
}

function pushTarget(plan: ImagePlan, { options }: ImageTargetsOptions): ImageTarget {
  return {
    executor: "nx:run-commands",
    options: { command: pushCommand(plan, options) },
    dependsOn: [options.targetName],
    metadata: describe(`Pushes the image of ${plan.dockerfile} to its registry`, {
      args: ["--tag=registry.example.com/app:1"],
    }),
  };
}

function describe(description: string, example: object): ImageTarget["metadata"] {
  return {
    technologies: ["docker"],
    description,
    help: { command: "npx varve build --help", example: { options: example } },
  };
}

/** Nx refuses to name a package that the workspace does not have. */
function dependsOnVarve(workspaceRoot: string): boolean {
  const manifest = readJson(join(workspaceRoot, "package.json")) ?? {};
  return ["dependencies", "devDependencies"].some((group) => {
    const packages = manifest[group];
    return isObject(packages) && "varve" in packages;
  });
}

function readText(workspaceRoot: string, file: string): string {
  return readFileSync(join(workspaceRoot, file), "utf8");
}
