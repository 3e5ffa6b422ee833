import type { Command } from "../command.ts";
import { UsageError } from "../errors.ts";
import { formatTable } from "../format-table.ts";
import { type NodeProject, readNodeProject } from "../init/node-project.ts";
import { startCommand } from "../init/start-command.ts";
import { writeProject } from "../init/write-project.ts";

/** `varve init`: writes what a Node project lacks to build an image. */
export const initCommand: Command = {
  usage: "[OPTIONS] [DIR]",
  description:
    "Writes a Dockerfile, a .dockerignore, scripts and a config for the Node project in DIR (default: here), for npm, pnpm or yarn, alone or in a workspace. What is there already stays as it is.",
  flags: [
    {
      name: "base",
      value: "IMAGE",
      description: "Image to start from (default: node:24-slim, or as engines.node says)",
    },
    { name: "tag", short: "t", value: "NAME[:TAG]", description: "Name of the image (default: the project's name)" },
  ],
  examples: ["varve init", "varve init --tag registry.example.com/team/api services/api"],
  async run(flags) {
    const [directory = ".", ...others] = flags.positionals;
    if (others.length > 0)
      throw new UsageError(`Cannot write files for ${others.length + 1} projects: one directory was wanted`);
    const project = readNodeProject(directory);
    const base = flags.value("base") ?? `node:${nodeVersion(project)}-slim`;
    const written = writeProject(project, { base, tag: flags.value("tag") ?? imageName(project) });
    process.stdout.write(formatTable(written.map(({ what, state }) => [state, what])));
    if (startCommand(project) === undefined)
      process.stderr.write(
        'WARNING Nothing says what starts the program: add CMD to the Dockerfile, or a script "start"\n',
      );
    if (project.manager.lockFile === undefined)
      process.stderr.write(
        `WARNING There is no lock file: run ${project.manager.name} install, so that images stay the same\n`,
      );
    const { dependencies, devDependencies } = project.manifest;
    if ({ ...dependencies, ...devDependencies }["varve"] === undefined)
      process.stderr.write('Next: install varve as a development dependency, then run the script "image"\n');
    return 0;
  },
};

/** The major version that engines.node asks for: 24, or another where its last word says so; odd ones end early. */
function nodeVersion({ manifest }: NodeProject): number {
  const bounds = [...(manifest.engines?.node ?? "").matchAll(/([<>=^~]*)\s*v?(\d+)[\w.]*/g)];
  const [, operator = "", digits = "24"] = bounds.at(-1) ?? [];
  const version = Number(digits);
  if (operator.startsWith(">")) return Math.max(24, version);
  return operator === "<" ? version - 1 - ((version - 1) % 2) : version;
}

/** A name that images may have. */
function imageName({ manifest, directory }: NodeProject): string {
  const name = (manifest.name ?? directory.split("/").at(-1) ?? "app").replace(/^@/, "").toLowerCase();
  return name.replaceAll(/[^a-z0-9/._-]/g, "-").replaceAll(/(^|\/)[._-]+|[._-]+(?=\/|$)/g, "$1") || "app";
}
