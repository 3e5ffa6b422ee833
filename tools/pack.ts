/**
 * Packs everything that is published, as `npm publish` would: `node tools/pack.ts DIRECTORY`. Each package gets the
 * licence's text. `npm install DIRECTORY/*.tgz` in an empty folder then installs varve.
 */
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";

const root = join(import.meta.dirname, "..");

/** Packs all packages into `directory`; gives the archives' paths. The packages must be built. */
export function packAll(directory: string): readonly string[] {
  mkdirSync(directory, { recursive: true });
  execFileSync(process.execPath, [join(root, "tools/bundle.ts")], { stdio: "inherit" });
  return globSync("{packages,apps}/*/package.json", { cwd: root })
    .filter((manifest) => !isPrivate(join(root, manifest)))
    .map((manifest) => packOne(join(root, dirname(manifest)), directory));
}

function isPrivate(manifest: string): boolean {
  return (JSON.parse(readFileSync(manifest, "utf8")) as { readonly private?: boolean }).private === true;
}

function packOne(folder: string, directory: string): string {
  const scratch = mkdtempSync(join(tmpdir(), "varve-pack-"));
  try {
    cpSync(folder, scratch, { recursive: true, filter: (path) => isPacked(relative(folder, path), folder) });
    cpSync(join(root, "LICENSE"), join(scratch, "LICENSE"));
    const output = execFileSync("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", directory], {
      cwd: scratch,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    });
    const packed: unknown = JSON.parse(output);
    const [only] = Array.isArray(packed) ? packed : Object.values(packed as object);
    return join(directory, (only as { readonly filename: string }).filename);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Sources and tests stay here, and so does what an older source was compiled to. */
function isPacked(path: string, folder: string): boolean {
  if (/^(?:node_modules|src|test)$/.test(path)) return false;
  const [, stem] = /^dist\/(.*?)(?:\.d\.ts|\.js)(?:\.map)?$/.exec(path) ?? [];
  return stem === undefined || existsSync(join(folder, "src", `${stem}.ts`));
}

if (import.meta.main) for (const file of packAll(resolve(process.argv[2] ?? "packed"))) console.log(file);
