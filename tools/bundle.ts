/**
 * Puts the command line into few files, apps/cli/bundle: reading one large file takes a fraction of the time of
 * reading 200 small ones. What a process may not need stays in files of its own. `node tools/bundle.ts`
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { rolldown } from "rolldown";

const root = join(import.meta.dirname, "..");
const output = join(root, "apps/cli/bundle");

rmSync(output, { recursive: true, force: true });
const bundle = await rolldown({
  cwd: root,
  input: { main: "apps/cli/dist/main.js", init: "packages/executor/dist/run/init.js" },
  platform: "node",
  external: ["koffi", "level", "classic-level"],
  treeshake: true,
  logLevel: "warn",
});
await bundle.write({ dir: output, format: "esm", minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } }, chunkFileNames: "[name]-[hash].js" });
