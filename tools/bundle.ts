/**
 * Puts the built command line into a few files, apps/cli/bundle, as it is published: Node takes several times longer to
 * read 250 small ones. CommonJS, for Node reads it faster than modules. What a build always needs is one file; what not
 * every command needs stays in files of its own. `node tools/bundle.ts`
 */
import { hash } from "node:crypto";
import { globSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ChunkingContext, type CodeSplittingOptions, type OutputChunk, type Plugin, rolldown } from "rolldown";

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

/** What a file requires, Node's own modules and other chunks, is loaded when something of it is first used. */
const lazyRequires: Plugin = {
  name: "lazy-requires",
  renderChunk(code) {
    const names: (readonly [name: string, module: string])[] = [];
    const rest = code.replaceAll(
      /^(?:let|const) (\w+) = require\("((?:node:|\.\/)[^"]+)"\);$/gm,
      (_, name: string, module: string) => {
        names.push([name, module]);
        return "";
      },
    );
    const used = names.reduce(
      (text, [name]) => text.replaceAll(new RegExp(`(?<![\\w$]|(?<!\\.\\.)\\.)${name}\\.`, "g"), `required$.${name}.`),
      rest,
    );
    const getters = names.map(([name, module]) => `get ${name}() { return load$("${name}", "${module}"); }`).join(", ");
    return `const required$ = { ${getters} };
const load$ = (name, module) => {
  const value = require(module);
  Object.defineProperty(required$, name, { value });
  return value;
};
${used}`;
  },
};

/** What a build does not use that finds everything as it was: it is loaded by those that have something to do. */
const WORK = new RegExp(
  [
    "/node_modules/",
    "/registry/dist/",
    "/cache/dist/(?:remote|oci)/",
    "/cache/dist/(?:evict|guard|remove-records|stored-items)\\.js$",
    "/executor/dist/(?:archive|images|run|snapshot)/",
    "/executor/dist/export/(?!rewrite-images)",
    "/executor/dist/mounts/(?!mount-inputs)",
    "/executor/dist/copy/(?!context-input)",
    "/executor/dist/explain/(?:describe-cause|file-list|find-causes|pair-steps)\\.js$",
    "/executor/dist/(?:commit-layer|earlier-segments|plan-steps|predict|tree-file|users)\\.js$",
    "/executor/dist/steps/workdir-step\\.js$",
    "/cli/dist/calls/(?:help|outline|targets)\\.js$",
    "/cli/dist/progress/(?!create-progress|progress)",
  ].join("|"),
);

/** The file that a module goes to, of those whose compiled code is kept. */
function chunkOf(id: string, context: ChunkingContext): "build" | "layer" | "work" | undefined {
  if (!isNeeded(id, context)) return undefined;
  if (id.includes("/packages/layer/")) return "layer";
  return WORK.test(id) ? "work" : "build";
}

let needed: ReadonlySet<string> | undefined;

/** What a build may load: all that its command imports other than by `import()`, and LevelDB. */
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

/** Writes files of which all but `main` are started by their paths, beside the file that starts them. */
async function write(input: Readonly<Record<string, string>>, how: Bundling): Promise<readonly OutputChunk[]> {
  const bundle = await rolldown({
    cwd: root,
    input,
    platform: "node",
    // A file exports what others need of it besides.
    preserveEntrySignatures: "allow-extension",
    treeshake: { manualPureFunctions: ["promisify"] },
    // Native parts are found where they were installed.
    external: ["koffi"],
    plugins: how.plugins,
    checks: { ineffectiveDynamicImport: false },
    logLevel: "warn",
  });
  const { output: written } = await bundle.write({
    dir: output,
    format: "cjs",
    comments: false,
    chunkFileNames: "[name]-[hash].js",
    ...(how.codeSplitting === undefined ? {} : { codeSplitting: how.codeSplitting }),
  });
  await bundle.close();
  return written.filter((each) => each.type === "chunk");
}

interface Bundling {
  readonly plugins: Plugin[];
  readonly codeSplitting?: CodeSplittingOptions;
}

rmSync(output, { recursive: true, force: true });
const usual = await write(
  { main },
  {
    plugins: [nativeLevel, lazyRequires],
    codeSplitting: { includeDependenciesRecursively: false, groups: [{ debugName: "build", name: chunkOf }] },
  },
);
// These change their root, where nothing of the bundle is found any more: all that they need is loaded first, and is
// little, for one of them forks itself.
const run = "packages/executor/dist/run";
const inits = await write({ init: `${run}/init.js`, "init-server": `${run}/init-server.js` }, { plugins: [] });
// Three of them are started at once, and need little.
const worker = await write({ "layer-worker": "packages/layer/dist/layer-worker.js" }, { plugins: [] });
const chunks = [...usual, ...inits, ...worker];
// Files whose compiled code apps/cli/bin keeps, each with what tells it from those of other versions.
const kept = usual.filter(({ name }) => ["main", "layer", "work", "rolldown-runtime"].includes(name));
const versions = Object.fromEntries(kept.map(({ fileName, code }) => [fileName, hash("sha256", code).slice(0, 16)]));
writeFileSync(join(output, "package.json"), JSON.stringify({ type: "commonjs", versions }));
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
