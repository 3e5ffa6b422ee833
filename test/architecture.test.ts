import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");

/** Who may import whom, floor by floor: imports go down only. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  "packages/oci": [],
  "packages/dockerfile": [],
  "packages/cache-key": ["@varve/oci"],
  "packages/layer": ["@varve/oci", "koffi"],
  "packages/cache": ["@varve/oci", "level", "classic-level"],
  "packages/registry": ["@varve/oci"],
  "packages/graph": ["@varve/oci", "@varve/dockerfile", "@varve/cache-key"],
  "packages/executor": [
    "@varve/oci",
    "@varve/dockerfile",
    "@varve/cache-key",
    "@varve/layer",
    "@varve/cache",
    "@varve/graph",
    "koffi",
  ],
  "packages/nx-plugin": ["@varve/oci", "@varve/dockerfile", "@varve/graph"],
  "apps/cli": [
    "@varve/oci",
    "@varve/dockerfile",
    "@varve/layer",
    "@varve/cache",
    "@varve/registry",
    "@varve/graph",
    "@varve/executor",
    "get-east-asian-width",
  ],
  "apps/cache-server": [
    "@varve/oci",
    "@varve/dockerfile",
    "@varve/cache-key",
    "@varve/cache",
    "@fastify/swagger",
    "ajv",
    "classic-level",
    "fastify",
    "jose",
    "level",
    "pino",
    "preact",
    "prom-client",
    "uplot",
  ],
};

const tracked = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: root,
  encoding: "utf8",
})
  .split("\n")
  .filter((file) => file !== "");

function sourcesOf(folder: string): readonly string[] {
  const isSource = (file: string): boolean => file.startsWith(`${folder}/src/`) && file.endsWith(".ts");
  return tracked.filter((file) => isSource(file) && !file.includes("/src/testing"));
}

function importsOf(file: string): readonly string[] {
  const text = readFileSync(join(root, file), "utf8");
  const forms = [
    /^(?:import|export)\b[^;"]*?\bfrom\s+"([^"]+)"/gm,
    /\bimport\("([^"]+)"\)/g,
    /^import "([^"]+)"/gm,
    /createRequire\(import\.meta\.url\)\("([^"]+)"\)/g,
  ];
  return forms.flatMap((form) => [...text.matchAll(form)].map((match) => match[1] ?? ""));
}

function packageOf(specifier: string): string {
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

describe("the house", () => {
  test("has a row in the table for every package", () => {
    const folders = new Set(
      tracked
        .filter((file) => /^(?:packages|apps)\/[^/]+\/package\.json$/.test(file))
        .map((file) => file.replace("/package.json", "")),
    );
    expect([...folders].toSorted()).toEqual(Object.keys(ALLOWED).toSorted());
  });

  test.each(Object.entries(ALLOWED))("%s imports what the table allows, and declares it", (folder, allowed) => {
    const manifest = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8")) as {
      readonly dependencies?: Readonly<Record<string, string>>;
    };
    const declared = Object.keys(manifest.dependencies ?? {});
    const imported = new Set(
      sourcesOf(folder)
        .flatMap(importsOf)
        .filter((name) => !name.startsWith(".") && !name.startsWith("node:")),
    );
    for (const specifier of imported) {
      expect(builtinModules, `"${specifier}" is to be imported as node:${specifier}`).not.toContain(specifier);
      expect(allowed, `${folder} must not import "${specifier}"`).toContain(packageOf(specifier));
      expect(declared, `${folder} uses "${specifier}" without declaring it`).toContain(packageOf(specifier));
      expect(specifier.split("/").length, `"${specifier}" reaches into a package`).toBe(
        specifier.startsWith("@") ? 2 : 1,
      );
    }
  });

  test.each(Object.keys(ALLOWED))("%s imports its own files by relative paths that stay inside", (folder) => {
    for (const file of sourcesOf(folder)) {
      for (const specifier of importsOf(file).filter((name) => name.startsWith("."))) {
        const target = join(file, "..", specifier);
        expect(target.startsWith(`${folder}/`), `${file} imports ${specifier}`).toBe(true);
        expect(specifier.endsWith(".ts"), `${file} imports ${specifier}`).toBe(true);
      }
    }
  });

  test.each(Object.keys(ALLOWED).filter((folder) => folder.startsWith("packages/")))(
    "%s has one door: an index.ts that only re-exports",
    (folder) => {
      const lines = readFileSync(join(root, folder, "src/index.ts"), "utf8").split("\n");
      const statements = lines
        .join("\n")
        .split(/;\n/)
        .filter((statement) => statement.trim() !== "");
      for (const statement of statements)
        expect(statement.trim()).toMatch(/^export (?:type )?\{[^}]*\} from "\.\/[^"]+\.ts"$/);
    },
  );

  test("keeps the names of machines and hosts out of tracked files", () => {
    const hidden = /\/(?:work|home)\/[a-z]+\/(?!.*test)|registry\.npmjs|https?:\/\/[a-z0-9.-]*artifact/;
    const texts = tracked.filter(
      (file) => /\.(?:ts|js|json|md|sh|yml)$/.test(file) && !file.startsWith("test/architecture"),
    );
    const guilty = texts.filter((file) =>
      hidden.test(readFileSync(join(root, file), "utf8").replaceAll("/home/app", "")),
    );
    expect(guilty).toEqual([]);
  });
});
