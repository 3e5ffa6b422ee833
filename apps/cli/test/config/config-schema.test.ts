import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { configSchema } from "../../src/config/config-schema.ts";

const root = join(import.meta.dirname, "../../../..");

test.each(["docs/varve.schema.json", "apps/cli/varve.schema.json"])("%s is the schema of the options", (name) => {
  const wanted = `${JSON.stringify(configSchema(), undefined, 2)}\n`;
  if (process.env["VARVE_UPDATE"] === "1") writeFileSync(join(root, name), wanted);
  expect(readFileSync(join(root, name), "utf8")).toBe(wanted);
});
