/** What stands beneath `options` of `@varve/nx` in nx.json. */
export interface ImagePluginOptions {
  /** Name of the target that builds; default `image`. */
  readonly targetName?: string;
  /** Name of the target that pushes; default `image-push`. */
  readonly pushTargetName?: string;
  /** The build context: the project's directory (default) or the workspace. */
  readonly context?: "project" | "workspace";
  /** Name of the image; `{projectName}` stands for the project's, without "@". Default `{projectName}:latest`. */
  readonly tag?: string;
  /** Where the OCI layout is written, from the workspace's root; default `dist/images/{projectRoot}`. */
  readonly output?: string;
  /** Targets whose outputs a Dockerfile may copy; default `build`. */
  readonly buildTargets?: readonly string[];
  /** Further words for `varve build`, such as `--platform=linux/amd64,linux/arm64`. */
  readonly args?: readonly string[];
}

/** The same with its defaults. */
export function withDefaults(options: ImagePluginOptions | undefined): Required<ImagePluginOptions> {
  return {
    targetName: "image",
    pushTargetName: "image-push",
    context: "project",
    tag: "{projectName}:latest",
    output: "dist/images/{projectRoot}",
    buildTargets: ["build"],
    args: [],
    ...options,
  };
}
