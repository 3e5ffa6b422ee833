import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A package of a workspace, as its manager's commands name it. */
export interface WorkspacePackage {
  /** From the workspace's root. */
  readonly path: string;
  readonly name: string;
}

/** What installs a project's packages, and the commands that do it in an image. */
export interface PackageManager {
  readonly name: "npm" | "pnpm" | "yarn";
  /** Undefined where the project has none. */
  readonly lockFile: string | undefined;
  /** What the base image lacks; undefined: nothing. */
  readonly setup: string | undefined;
  /** A directory that is kept between builds. */
  readonly cache: string;
  /** Environment of all stages. */
  readonly env: Readonly<Record<string, string>>;
  /** Installs everything, for building. */
  readonly install: string;
  /** Installs what the program needs when it runs; `member` is its package where it is in a workspace. */
  production(member: WorkspacePackage | undefined): string;
  /** Runs a script; `member` as above. */
  script(name: string, member: WorkspacePackage | undefined): string;
}

/** The package manager that `packageManager` of package.json names, or the lock file shows; else npm. */
export function findPackageManager(root: string, named: string | undefined): PackageManager {
  const [, name, version] = /^(npm|pnpm|yarn)@(\d+[^+]*)/.exec(named ?? "") ?? [];
  const has = (file: string): boolean => existsSync(join(root, file));
  if (name === "pnpm" || (name === undefined && has("pnpm-lock.yaml"))) return pnpm(root, version);
  if (name === "yarn" || (name === undefined && has("yarn.lock"))) return yarn(root, version);
  return npm(["package-lock.json", "npm-shrinkwrap.json"].find(has));
}

function npm(lockFile: string | undefined): PackageManager {
  const install = lockFile === undefined ? "npm install --no-audit --no-fund" : "npm ci --no-audit --no-fund";
  const workspace = (member: WorkspacePackage | undefined): string =>
    member === undefined ? "" : ` --workspace=${member.path}`;
  return {
    name: "npm",
    lockFile,
    setup: undefined,
    cache: "/root/.npm",
    env: {},
    install,
    production: (member) => `${install} --omit=dev${workspace(member)}`,
    script: (name, member) => `npm run ${name}${workspace(member)}`,
  };
}

/** Lock files say which pnpm wrote them. */
const PNPM_OF_LOCK: Readonly<Record<string, string>> = { "5.4": "7", "6.0": "8", "9.0": "10" };

function pnpm(root: string, named: string | undefined): PackageManager {
  const lock = textOf(root, "pnpm-lock.yaml");
  const [, format = ""] = /^lockfileVersion:\s*['"]?([\d.]+)/m.exec(lock ?? "") ?? [];
  const version = named ?? PNPM_OF_LOCK[format] ?? "latest";
  const install = lock === undefined ? "pnpm install" : "pnpm install --frozen-lockfile";
  return {
    name: "pnpm",
    lockFile: lock === undefined ? undefined : "pnpm-lock.yaml",
    setup: `npm install --global pnpm@${version}`,
    cache: "/root/.local/share/pnpm/store",
    env: {},
    install,
    production: (member) => `${install} --prod${member === undefined ? "" : ` --filter "${member.name}..."`}`,
    script: (name, member) => `pnpm ${member === undefined ? "" : `--filter "${member.name}" `}run ${name}`,
  };
}

function yarn(root: string, version: string | undefined): PackageManager {
  const lock = textOf(root, "yarn.lock");
  const isClassic = version === undefined ? !(lock ?? "").includes("__metadata:") : version.startsWith("1.");
  const frozen = isClassic ? " --frozen-lockfile" : " --immutable";
  const install = `yarn install${lock === undefined ? "" : frozen}`;
  const focus = (member: WorkspacePackage | undefined): string => (member === undefined ? "" : ` ${member.name}`);
  const lockFile = lock === undefined ? undefined : "yarn.lock";
  const script = (name: string, member: WorkspacePackage | undefined): string =>
    `yarn ${member === undefined ? "" : `--cwd ${member.path} `}run ${name}`;
  if (isClassic)
    return {
      name: "yarn",
      lockFile,
      setup: `npm install --global --force yarn@${version ?? "1"}`,
      cache: "/usr/local/share/.cache/yarn",
      env: {},
      install,
      production: () => `${install} --production`,
      script,
    };
  return {
    name: "yarn",
    lockFile,
    setup: `npm install --global --force @yarnpkg/cli-dist@${version ?? "latest"}`,
    cache: "/root/.yarn/berry/cache",
    // Programs start with node alone, so packages are to be where node looks for them.
    env: { YARN_NODE_LINKER: "node-modules" },
    install,
    production: (member) => `yarn workspaces focus${focus(member)} --production`,
    script,
  };
}

function textOf(root: string, name: string): string | undefined {
  const file = join(root, name);
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}
