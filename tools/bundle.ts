/**
 * Puts the built command line into a few files, apps/cli/bundle, as it is published: Node takes several times longer to
 * read 250 small ones. CommonJS, for Node reads it faster than modules. What a build always needs is one file; what not
 * every command needs stays in files of its own. `node tools/bundle.ts`
 */
import { globSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ChunkingContext, type OutputChunk, type Plugin, rolldown } from "rolldown";

const root = join(import.meta.dirname, "..");
const output = join(root, "apps/cli/bundle");
const main = join(root, "apps/cli/dist/main.js");

/** LevelDB's JavaScript is 25 files, which take longer to load than to run; its addon stays where it was installed. */
const nativeLevel: Plugin = {
  name: "native-level",
  resolveId: {
    filter: { id: /^\.\/binding$/ },
    handler: (_, importer) =>
      importer?.includes("/classic-level/") === true ? { id: "classic-level/binding.js", external: true } : undefined,
  },
};

/** Node's own modules are loaded when something of them is first used: a build that makes nothing uses few of them. */
const lazyBuiltins: Plugin = {
  name: "lazy-builtins",
  renderChunk(code) {
    const names: (readonly [name: string, module: string])[] = [];
    const rest = code.replaceAll(
      /^let (node_\w+) = require\("(node:[\w/]+)"\);$/gm,
      (_, name: string, module: string) => {
        names.push([name, module]);
        return "";
      },
    );
    const used = names.reduce(
      (text, [name]) => text.replaceAll(new RegExp(`(?<![\\w$.])${name}\\.`, "g"), `builtins$.${name}.`),
      rest,
    );
    const getters = names.map(([name, module]) => `get ${name}() { return load$("${name}", "${module}"); }`).join(", ");
    return `const builtins$ = { ${getters} };
const load$ = (name, module) => {
  const value = require(module);
  Object.defineProperty(builtins$, name, { value });
  return value;
};
${used}`;
  },
};

let needed: ReadonlySet<string> | undefined;

/** What a build loads in any case: all that its command imports other than by `import()`, and LevelDB. */
function isNeeded(id: string, context: ChunkingContext): boolean {
  const level = join(root, "node_modules/level/index.js");
  needed ??= collectImports([main, join(root, "apps/cli/dist/commands/build.js"), level], context);
  return needed.has(id);
}

function collectImports(from: readonly string[], context: ChunkingContext): ReadonlySet<string> {
  const found = new Set(from);
  for (const id of found) for (const imported of context.getModuleInfo(id)?.importedIds ?? []) found.add(imported);
  return found;
}

rmSync(output, { recursive: true, force: true });
const bundle = await rolldown({
  cwd: root,
  // All but the first are started by their paths, beside the file that starts them.
  input: {
    main,
    init: "packages/executor/dist/run/init.js",
    "init-server": "packages/executor/dist/run/init-server.js",
    "layer-worker": "packages/layer/dist/layer-worker.js",
  },
  platform: "node",
  treeshake: { manualPureFunctions: ["promisify"] },
  // Native parts are found where they were installed.
  external: ["koffi"],
  plugins: [nativeLevel, lazyBuiltins],
  checks: { ineffectiveDynamicImport: false },
  logLevel: "warn",
});
const { output: written } = await bundle.write({
  dir: output,
  format: "cjs",
  comments: false,
  chunkFileNames: "[name]-[hash].js",
  codeSplitting: {
    groups: [{ debugName: "build", name: (id, context) => (isNeeded(id, context) ? "build" : undefined) }],
  },
});
await bundle.close();
for (const chunk of written)
  if (chunk.type === "chunk") writeFileSync(join(output, chunk.fileName), toAscii(chunk.code));
const chunks = written.filter((each) => each.type === "chunk");
const [loaded] = chunks.filter(({ name }) => name === "build");
// What apps/cli/bin loads; it exports `main` as the entry does.
writeFileSync(join(output, "package.json"), JSON.stringify({ type: "commonjs", needed: loaded?.fileName }));
writeFileSync(join(output, "LICENSES.txt"), licencesOf(chunks));
for (const { fileName, code } of chunks) writeFileSync(join(output, fileName), toAscii(code));

/** Node keeps a file in which a single letter is not ASCII in twice the memory, and is slower to read it. */
function toAscii(code: string): string {
  return code.replaceAll(/[^\0-\x7f]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** The licences of what others wrote and these files hold, as they ask for. */
function licencesOf(chunks: readonly OutputChunk[]): string {
  const modules = chunks.flatMap(({ moduleIds }) => moduleIds);
  const folders = modules.flatMap((path) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []);
  return [...new Set(folders)]
    .toSorted()
    .map((folder) => {
      const { name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
      const [file] = globSync("{LICENSE,LICENCE,license}*", { cwd: folder });
      if (file === undefined) throw new Error(`Cannot bundle "${name}": it has no licence file`);
      return `${name} ${version}\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
    })
    .join(`\n${"-".repeat(80)}\n\n`);
}

interface Manifest {
  readonly name: string;
  readonly version: string;
}
