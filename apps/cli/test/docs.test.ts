import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Command, CommandEntry } from "../src/command.ts";
import { COMMANDS } from "../src/command-table.ts";
import { formatFlags } from "../src/format-help.ts";

const file = join(import.meta.dirname, "../../../docs/commands.md");

const HEAD = `# Commands

What \`varve help COMMAND\` says, for all commands. This page is written by a test from the commands themselves: \`VARVE_UPDATE=1 npx vitest run apps/cli/test/docs.test.ts\`. [cli.md](cli.md) tells more about builds.
`;

async function describeCommand({ name, summary, load }: CommandEntry): Promise<string> {
  const { usage, description, flags, examples }: Command = await load();
  const parts = [
    `## varve ${name}`,
    `${summary}.`,
    `\`\`\`\nvarve ${`${name} ${usage}`.trim()}\n\`\`\``,
    description,
    ...(flags.length === 0 ? [] : [`\`\`\`\n${formatFlags(flags)}\n\`\`\``]),
    ...(examples.length === 0 ? [] : [`Examples:\n\n\`\`\`sh\n${examples.join("\n")}\n\`\`\``]),
  ];
  return parts.join("\n\n");
}

test("docs/commands.md is what the commands say of themselves", async () => {
  const wanted = `${[HEAD.trimEnd(), ...(await Promise.all(COMMANDS.map(describeCommand)))].join("\n\n")}\n`;
  if (process.env["VARVE_UPDATE"] === "1") writeFileSync(file, wanted);
  expect(readFileSync(file, "utf8")).toBe(wanted);
});
