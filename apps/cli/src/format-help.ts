import type { Command, CommandEntry } from "./command.ts";
import type { Flag } from "./flags.ts";
import { formatTable } from "./format-table.ts";

/** What `varve help` shows. */
export function formatOverview(commands: readonly CommandEntry[]): string {
  const rows = commands.map(({ name, summary }) => [`  ${name}`, summary]);
  return `varve builds container images from Dockerfiles: incrementally, without a daemon.

usage: varve COMMAND [OPTIONS]

commands:
${formatTable([...rows, ["  help COMMAND", "Show a command's options and examples"]])}`;
}

/** What `varve NAME --help` shows. */
export function formatHelp(name: string, { usage, description, flags, examples }: Command): string {
  const parts = [`usage: varve ${name} ${usage}`.trimEnd(), description];
  if (flags.length > 0) parts.push(`options:\n${formatFlags(flags)}`);
  if (examples.length > 0) parts.push(`examples:\n${examples.map((line) => `  ${line}`).join("\n")}`);
  return `${parts.join("\n\n")}\n`;
}

/** Lines of help for flags, aligned; hidden ones are left out. */
export function formatFlags(flags: readonly Flag[]): string {
  const shown = flags.filter(({ hidden }) => hidden !== true);
  const names = shown.map(
    ({ name, short, value }) =>
      `  ${short === undefined ? "    " : `-${short}, `}--${name}${value === undefined ? "" : ` ${value}`}`,
  );
  const width = Math.max(...names.map((text) => text.length)) + 2;
  return shown.map((flag, index) => `${(names[index] ?? "").padEnd(width)}${flag.description}`).join("\n");
}
