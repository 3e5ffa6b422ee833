import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { dockerfileText } from "./dockerfile-text.ts";
import type { NodeProject, PackageJson } from "./node-project.ts";

/** What the build context leaves out: made on this machine, secret, or of no use in an image. */
const IGNORED = [
  "**/node_modules",
  ".git",
  "**/.env",
  "**/.env.*",
  "**/*.log",
  "**/coverage",
  "**/dist",
  "**/.nx",
  "**/.turbo",
  "**/Dockerfile*",
  "**/.dockerignore",
];

/** Something that was written, or was there and is left as it is. */
export interface Written {
  /** From the current directory; what was added to package.json is named behind it. */
  readonly what: string;
  readonly state: "written" | "kept";
}

/** Writes what a project lacks to build an image; what is there stays as it is. `tag` names the image. */
export function writeProject(
  project: NodeProject,
  { base, tag }: { readonly base: string; readonly tag: string },
): readonly Written[] {
  const { directory, root } = project;
  return [
    writeMissing(join(directory, "Dockerfile"), () => dockerfileText(project, base)),
    writeMissing(join(root, ".dockerignore"), () => `${ignoredIn(project).join("\n")}\n`),
    ...extendManifest(join(directory, "package.json"), { context: relative(directory, root), tag }),
  ];
}

/** A project without a build step may keep its program in `dist`. */
function ignoredIn({ manifest, workspace }: NodeProject): readonly string[] {
  const isBuilt = manifest.scripts?.["build"] !== undefined || workspace !== undefined;
  return isBuilt ? IGNORED : IGNORED.filter((pattern) => pattern !== "**/dist");
}

function writeMissing(file: string, text: () => string): Written {
  const what = relative(process.cwd(), file);
  if (existsSync(file)) return { what, state: "kept" };
  writeFileSync(file, text());
  return { what, state: "written" };
}

/** Adds scripts and the config, as far as they are missing. */
function extendManifest(
  file: string,
  { context, tag }: { readonly context: string; readonly tag: string },
): readonly Written[] {
  const text = readFileSync(file, "utf8");
  const manifest = JSON.parse(text) as PackageJson & { readonly varve?: object };
  const { scripts = {} } = manifest;
  const hasConfig = manifest.varve !== undefined || existsSync(join(file, "../varve.json"));
  const wanted = Object.entries({
    image: "varve build",
    ...(hasRegistry(tag) ? { "image:push": "varve build --push" } : {}),
  });
  const missing = wanted.filter(([name]) => scripts[name] === undefined);
  const config = context === "" ? { context: ".", tag } : { context, file: "Dockerfile", tag };
  const extended = {
    ...manifest,
    scripts: { ...scripts, ...Object.fromEntries(missing) },
    ...(hasConfig ? {} : { varve: config }),
  };
  const [, indent = "  "] = /^\{\s*?\n([ \t]+)/.exec(text) ?? [];
  if (missing.length > 0 || !hasConfig) writeFileSync(file, `${JSON.stringify(extended, undefined, indent)}\n`);
  const what = relative(process.cwd(), file);
  const state = (isMissing: boolean): Written["state"] => (isMissing ? "written" : "kept");
  return [
    ...wanted.map(([name]) => ({ what: `${what}, script "${name}"`, state: state(scripts[name] === undefined) })),
    { what: `${what}, member "varve"`, state: state(!hasConfig) },
  ];
}

/** Others would be pushed to Docker Hub's official images. */
function hasRegistry(tag: string): boolean {
  return /^[^/]*[.:][^/]*\//.test(tag);
}
