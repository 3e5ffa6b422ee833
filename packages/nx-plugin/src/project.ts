import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { isObject, readJson } from "./read-json.ts";

/** A project of the workspace, as far as its own files tell. */
export interface Project {
  /** From the workspace's root; "." for the root itself. */
  readonly root: string;
  readonly name: string;
  /** Outputs by target, as far as they are written down. */
  readonly outputs: Readonly<Record<string, readonly string[]>>;
}

/** The project at `root`; undefined where there is neither a project.json nor a package.json. */
export function readProject(workspaceRoot: string, root: string): Project | undefined {
  const directory = join(workspaceRoot, root);
  const files = ["project.json", "package.json"].map((name) => join(directory, name));
  if (!files.some((file) => existsSync(file))) return undefined;
  const [project = {}, manifest = {}] = files.map(readJson);
  const nx = isObject(manifest["nx"]) ? manifest["nx"] : {};
  const names = [project["name"], nx["name"], manifest["name"], basename(directory)];
  return {
    root,
    name: names.find((name) => typeof name === "string" && name !== "") as string,
    outputs: { ...outputsOf(nx["targets"]), ...outputsOf(project["targets"]) },
  };
}

function outputsOf(targets: unknown): Project["outputs"] {
  if (!isObject(targets)) return {};
  const named = Object.entries(targets).flatMap(([name, target]) => {
    const outputs = isObject(target) ? target["outputs"] : undefined;
    return Array.isArray(outputs) ? [[name, outputs.filter((output) => typeof output === "string")] as const] : [];
  });
  return Object.fromEntries(named);
}
