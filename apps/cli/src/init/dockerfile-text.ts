import type { NodeProject, PackageJson } from "./node-project.ts";
import { startCommand } from "./start-command.ts";

/**
 * A Dockerfile for a Node project: what the program needs and what builds it are installed side by side, and the image
 * has neither the tools nor the packages that only building needs. `base` is the image to start from.
 */
export function dockerfileText(project: NodeProject, base: string): string {
  const { manager } = project;
  const isBuilt = buildSteps(project).length > 0;
  const blocks = [
    ["# syntax=docker/dockerfile:1"],
    [
      `FROM ${base} AS base`,
      ...Object.entries(manager.env).map(([name, value]) => `ENV ${name}=${value}`),
      "WORKDIR /app",
      ...(manager.setup === undefined ? [] : [`RUN ${manager.setup}`]),
    ],
    [
      "# Packages that the program needs when it runs",
      "FROM base AS dependencies",
      ...manifestCopies(project),
      ...install(project, `${manager.production(project.workspace?.member)} && mkdir -p node_modules`),
    ],
    ...(isBuilt ? [buildStage(project)] : []),
    finalStage(project, { base, isBuilt }),
  ];
  return `${blocks.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

function install({ manager }: NodeProject, command: string): readonly string[] {
  return [`RUN --mount=type=cache,target=${manager.cache} \\`, `    ${command}`];
}

/** The files that decide what is installed: as long as they stay, so do the installed packages. */
function manifestCopies({ manager, installFiles, workspace }: NodeProject): readonly string[] {
  const lock = manager.lockFile === undefined ? [] : [manager.lockFile];
  const manifests = ["package.json", ...lock, ...installFiles.filter((name) => !name.includes("/"))];
  const folders = installFiles.filter((name) => name.includes("/")).map((name) => `COPY ${name} ./${name}`);
  const patterns = workspace?.patterns.filter((pattern) => !pattern.startsWith("!")) ?? [];
  const members = patterns.map((pattern) => `${pattern}/package.json`);
  return [
    `COPY ${manifests.join(" ")} ./`,
    ...(members.length === 0 ? [] : [`COPY --parents ${members.join(" ")} ./`]),
    ...folders,
  ];
}

function buildStage(project: NodeProject): readonly string[] {
  const { workspace, sharedFiles } = project;
  const folders = workspace?.parts.map(({ path }) => path) ?? [];
  return [
    "# The program, built with all packages",
    "FROM base AS build",
    ...manifestCopies(project),
    ...install(project, project.manager.install),
    ...(sharedFiles.length === 0 ? [] : [`COPY ${sharedFiles.join(" ")} ./`]),
    ...(folders.length === 0 ? ["COPY . ."] : [`COPY --parents ${folders.join(" ")} ./`]),
    ...buildSteps(project),
  ];
}

/** A RUN for each part that has something to build. */
function buildSteps({ manager, manifest, workspace }: NodeProject): readonly string[] {
  const isBuilt = (each: PackageJson): boolean => each.scripts?.["build"] !== undefined;
  if (workspace === undefined) return isBuilt(manifest) ? [`RUN ${manager.script("build", undefined)}`] : [];
  return workspace.parts.filter((part) => isBuilt(part.manifest)).map((part) => `RUN ${manager.script("build", part)}`);
}

function finalStage(
  project: NodeProject,
  { base, isBuilt }: { readonly base: string; readonly isBuilt: boolean },
): readonly string[] {
  const { workspace, manager } = project;
  const command = startCommand(project);
  const needsManager = command !== undefined && command[0] !== "node" && manager.setup !== undefined;
  const from = isBuilt ? "--from=build --exclude=**/node_modules " : "";
  const source = (path: string): string => (isBuilt ? `/app/${path}` : path);
  const parts = workspace?.parts.map(({ path }) => `COPY --link ${from}${source(path)} ./${path}`);
  const dependencies =
    workspace === undefined
      ? "COPY --link --from=dependencies /app/node_modules ./node_modules"
      : "COPY --link --from=dependencies /app ./";
  return [
    needsManager ? "FROM base" : `FROM ${base}`,
    "ENV NODE_ENV=production",
    ...(needsManager ? [] : ["WORKDIR /app"]),
    dependencies,
    ...(parts ?? [`COPY --link ${from}${isBuilt ? "/app ./" : ". ."}`]),
    ...(workspace === undefined ? [] : [`WORKDIR /app/${workspace.member.path}`]),
    "USER 1000:1000",
    command === undefined ? '# Say what starts the program: CMD ["node", "FILE"]' : `CMD ${formatExec(command)}`,
  ];
}

function formatExec(words: readonly string[]): string {
  return `[${words.map((word) => JSON.stringify(word)).join(", ")}]`;
}
