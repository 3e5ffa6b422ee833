import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { BUILD_FLAGS } from "../src/build-flags.ts";
import { formatFlags } from "../src/format-help.ts";

const file = join(import.meta.dirname, "../../../docs/cli.md");

test("docs/cli.md lists the flags of varve build as the help does", () => {
  const text = readFileSync(file, "utf8");
  const wanted = `<!-- flags -->\n\`\`\`\n${formatFlags(BUILD_FLAGS)}\n\`\`\`\n`;
  const updated = text.replace(/<!-- flags -->\n(?:```\n[^`]*```\n)?/, () => wanted);
  if (process.env["VARVE_UPDATE"] === "1") writeFileSync(file, updated);
  else expect(text).toBe(updated);
});
