import type { ImageConfigFile } from "./image-config.ts";
import type { ImagePluginOptions } from "./plugin-options.ts";
import type { Project } from "./project.ts";

/** What the targets of one project are made of. Paths are from the workspace's root. */
export interface ImagePlan {
  readonly project: Project;
  readonly dockerfile: string;
  readonly context: string;
  /** The project's own; varve finds others by itself. */
  readonly config: ImageConfigFile | undefined;
  /** The config that counts: the project's own, or one above the context. */
  readonly configFile: string | undefined;
  /** Of the OCI layout. */
  readonly output: string;
}

/** The words behind `varve build` that say what is built: config, Dockerfile, name, context. */
export function buildWords(plan: ImagePlan, options: Required<ImagePluginOptions>): string {
  const { dockerfile, context, config } = plan;
  return [
    ...(config === undefined ? [] : ["--config", config.file]),
    "--file",
    dockerfile,
    ...(isNamed(config) ? [] : imageNames(plan, options).flatMap((name) => ["--tag", name])),
    ...options.args,
    context,
  ]
    .map(quote)
    .join(" ");
}

/** Pushes the image as it is in the OCI layout, under all its names: nothing is built, whatever machine it was built on. */
export function pushCommand(plan: ImagePlan, options: Required<ImagePluginOptions>): string {
  return imageNames(plan, options)
    .map((name) => `varve copy --all ${quote(`oci:${plan.output}:${name}`)} ${quote(`docker://${name}`)}`)
    .join(" && ");
}

function isNamed(config: ImageConfigFile | undefined): config is ImageConfigFile {
  return config !== undefined && config.tags.length > 0;
}

/** With tags, as the layout has them. */
function imageNames({ project, config }: ImagePlan, options: Required<ImagePluginOptions>): readonly string[] {
  const names = isNamed(config) ? config.tags : [fillIn(options.tag, project)];
  return names.map((name) => (/[:$][^/]*$/.test(name) ? name : `${name}:latest`));
}

/** `text` with the project's root and name in their places: the name as images may have it, which is also the root's root. */
export function fillIn(text: string, { root, name }: Project): string {
  const imageName = name.replace(/^@/, "").toLowerCase();
  return text.replaceAll("{projectRoot}", root === "." ? imageName : root).replaceAll("{projectName}", imageName);
}

/** A word for a shell; variables stay variables. */
export function quote(word: string): string {
  return /^[\w./:=@,+${}-]+$/.test(word) ? word : `"${word.replaceAll(/["\\`]/g, String.raw`\$&`)}"`;
}
