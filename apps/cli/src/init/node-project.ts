import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { UsageError } from "../errors.ts";
import { findPackageManager, type PackageManager, type WorkspacePackage } from "./package-manager.ts";

/** What matters here of a package.json. */
export interface PackageJson {
  readonly name?: string;
  readonly main?: string;
  readonly bin?: string | Readonly<Record<string, string>>;
  readonly packageManager?: string;
  readonly workspaces?: readonly string[] | { readonly packages?: readonly string[] };
  readonly scripts?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly engines?: { readonly node?: string };
}

/** One package of a workspace. */
export interface Member extends WorkspacePackage {
  readonly manifest: PackageJson;
}

/** The workspace that a project is a package of. */
export interface Workspace {
  /** Where its packages are, as globs. */
  readonly patterns: readonly string[];
  readonly member: Member;
  /** The packages of the workspace that the member needs, each behind those that it needs itself; the member last. */
  readonly parts: readonly Member[];
}

/** A Node project for which an image is to be built. */
export interface NodeProject {
  readonly directory: string;
  readonly manifest: PackageJson;
  readonly manager: PackageManager;
  /** Where the lock file is: the project itself, or the workspace that it belongs to. */
  readonly root: string;
  /** Undefined for a project that stands alone. */
  readonly workspace: Workspace | undefined;
  /** Files beside the lock file that installing reads. */
  readonly installFiles: readonly string[];
  /** Files of a workspace's root that builds read. */
  readonly sharedFiles: readonly string[];
}

/**
 * Looks a project over.
 * @throws UsageError for a directory without a package.json, or with one that is damaged.
 */
export function readNodeProject(directory: string): NodeProject {
  const path = resolve(directory);
  const manifest = readManifest(path);
  if (manifest === undefined)
    throw new UsageError(
      `Cannot write a Dockerfile for "${directory}": it has no package.json`,
      "varve init knows Node projects; for others write the Dockerfile yourself, and run varve build",
    );
  const root = hasLock(path) ? path : (workspaceAbove(path, path) ?? path);
  const rootManifest = readManifest(root) ?? {};
  const patterns = workspacePatterns(root, rootManifest);
  return {
    directory: path,
    manifest,
    manager: findPackageManager(root, rootManifest.packageManager),
    root,
    workspace: root === path ? undefined : readWorkspace(root, { path: relative(root, path), patterns }),
    installFiles: present(root, [".npmrc", ".yarnrc", ".yarnrc.yml", ".yarn/releases", "pnpm-workspace.yaml"]),
    sharedFiles: root === path ? [] : globSync("tsconfig*.json", { cwd: root }).toSorted(),
  };
}

function readManifest(directory: string): PackageJson | undefined {
  const file = join(directory, "package.json");
  if (!existsSync(file)) return undefined;
  try {
    return JSON.parse(readFileSync(file, "utf8")) as PackageJson;
  } catch (error) {
    throw new UsageError(`Cannot read "${file}": ${(error as Error).message}`);
  }
}

function hasLock(directory: string): boolean {
  return present(directory, ["package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock"]).length > 0;
}

function present(directory: string, names: readonly string[]): readonly string[] {
  return names.filter((name) => existsSync(join(directory, name)));
}

/** The nearest directory above whose workspaces have `member` among them. */
function workspaceAbove(directory: string, member: string): string | undefined {
  const above = dirname(directory);
  if (above === directory) return undefined;
  const patterns = workspacePatterns(above, readManifest(above) ?? {});
  const isMember = memberPaths(above, patterns).includes(relative(above, member));
  return isMember ? above : workspaceAbove(above, member);
}

/** What the workspace's root says of where its packages are; empty for one that is no workspace. */
function workspacePatterns(root: string, { workspaces = [] }: PackageJson): readonly string[] {
  const file = join(root, "pnpm-workspace.yaml");
  const listed = "packages" in workspaces ? (workspaces.packages ?? []) : (workspaces as readonly string[]);
  const patterns = existsSync(file) ? yamlList(readFileSync(file, "utf8"), "packages") : listed;
  return patterns.map((pattern) => pattern.replace(/^\.\//, "").replace(/\/$/, ""));
}

/** A list of words below a key of a YAML file: as much YAML as pnpm-workspace.yaml needs. */
function yamlList(text: string, key: string): readonly string[] {
  const [, block = ""] =
    new RegExp(`^${key}:[^\\n]*\\n((?:[ \\t]*(?:-[^\\n]*|#[^\\n]*)?(?:\\n|$))*)`, "m").exec(text) ?? [];
  return [...block.matchAll(/^\s*-\s*["']?([^"'#\n]+?)["']?\s*(?:#.*)?$/gm)].map((match) => match[1] ?? "");
}

function memberPaths(root: string, patterns: readonly string[]): readonly string[] {
  const without = patterns.filter((pattern) => pattern.startsWith("!")).map((pattern) => pattern.slice(1));
  const found = patterns
    .filter((pattern) => !pattern.startsWith("!"))
    .flatMap((pattern) => globSync(`${pattern}/package.json`, { cwd: root, exclude: ["**/node_modules", ...without] }));
  return [...new Set(found.map((file) => dirname(file)))].toSorted();
}

function readWorkspace(
  root: string,
  { path, patterns }: { readonly path: string; readonly patterns: readonly string[] },
): Workspace | undefined {
  const members = memberPaths(root, patterns).map((each) => {
    const manifest = readManifest(join(root, each)) ?? {};
    return { path: each, name: manifest.name ?? each, manifest };
  });
  const member = members.find((each) => each.path === path);
  return member === undefined ? undefined : { patterns, member, parts: partsOf(member, members) };
}

function partsOf(member: Member, members: readonly Member[]): readonly Member[] {
  const sorted = new Set<Member>();
  const seen = new Set<Member>();
  const visit = (each: Member): void => {
    if (seen.has(each)) return;
    seen.add(each);
    const { dependencies, devDependencies } = each.manifest;
    const needed = Object.keys({ ...dependencies, ...devDependencies });
    for (const other of members) if (needed.includes(other.name)) visit(other);
    sorted.add(each);
  };
  visit(member);
  return [...sorted];
}
