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
  const { project, dockerfile, context, config } = plan;
  const isNamed = config !== undefined && config.tags.length > 0;
  return [
    ...(config === undefined ? [] : ["--config", config.file]),
    "--file",
    dockerfile,
    ...(isNamed ? [] : ["--tag", fillIn(options.tag, project)]),
    ...options.args,
    context,
  ]
    .map(quote)
    .join(" ");
}

/** `text` with the project's root and name in their places; the name as images may have it. */
export function fillIn(text: string, { root, name }: Project): string {
  const imageName = name.replace(/^@/, "").toLowerCase();
  return text.replaceAll("{projectRoot}", root).replaceAll("{projectName}", imageName);
}

/** A word for a shell; variables stay variables. */
export function quote(word: string): string {
  return /^[\w./:=@,+${}-]+$/.test(word) ? word : `"${word.replaceAll(/["\\`]/g, String.raw`\$&`)}"`;
}
