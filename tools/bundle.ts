/**
 * Puts the built command line into a few files, apps/cli/bundle, as it is published: Node takes several times longer to
 * read 250 small ones. What not every command needs stays in files of its own. `node tools/bundle.ts`
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { rolldown } from "rolldown";

const root = join(import.meta.dirname, "..");
const output = join(root, "apps/cli/bundle");

rmSync(output, { recursive: true, force: true });
const bundle = await rolldown({
  cwd: root,
  // The second and third are started by their paths, beside the file that starts them.
  input: {
    main: "apps/cli/dist/main.js",
    init: "packages/executor/dist/run/init.js",
    "layer-worker": "packages/layer/dist/layer-worker.js",
  },
  platform: "node",
  // Native parts are found where they were installed.
  external: ["koffi", "level", "classic-level"],
  logLevel: "warn",
});
await bundle.write({ dir: output, format: "esm", comments: false, chunkFileNames: "[name]-[hash].js" });
await bundle.close();
