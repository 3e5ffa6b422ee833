import type { Report } from "./check-rules.ts";
import { expandWord, ExpansionError } from "./expand-word.ts";
import type { ArgInstruction, Dockerfile, FromInstruction } from "./instruction.ts";
import { createNearest, type FindNearest } from "./nearest.ts";

const PLATFORM_ARGS = ["PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT"].flatMap((part) => [
  `BUILD${part}`,
  `TARGET${part}`,
]);
const BUILT_IN = [...PLATFORM_ARGS, "TARGETSTAGE"];
const DOMAIN_PART = "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?";
const DOMAIN = `(?:${DOMAIN_PART}(?:\\.${DOMAIN_PART})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`;
const PATH_PART = "[a-z0-9]+(?:(?:\\.|__?|-+)[a-z0-9]+)*";
const REFERENCE = new RegExp(
  `^(?:${DOMAIN}/)?${PATH_PART}(?:/${PATH_PART})*(?::\\w[\\w.-]{0,127})?(?:@[A-Za-z0-9+._-]+:[0-9a-fA-F]{32,})?$`,
);
const MAX_REFERENCE = 1024;

/** Reports what is wrong with the images and platforms of FROM. */
export function checkFroms({ globalArgs, stages }: Dockerfile, options: { escape: string; report: Report }): void {
  const values = defaultValues(globalArgs, options.escape);
  const declared = new Set([...BUILT_IN, ...globalArgs.flatMap(({ args }) => args.map(({ name }) => name))]);
  const findNearest = createNearest();
  for (const { from } of stages) {
    checkDeclared(from, { ...options, declared, findNearest });
    checkDefaults(from, { ...options, values });
    checkPlatform(from, options);
  }
}

/** What the arguments before the first FROM are without any of the user's. */
function defaultValues(globalArgs: readonly ArgInstruction[], escape: string): ReadonlyMap<string, string> {
  const values = new Map(BUILT_IN.map((name) => [name, name.endsWith("PLATFORM") ? "linux/amd64" : "linux"]));
  for (const { name, value } of globalArgs.flatMap(({ args }) => args)) {
    const expanded = value === undefined ? undefined : tryExpand(value, escape, (key) => values.get(key));
    if (expanded !== undefined) values.set(name, expanded);
  }
  return values;
}

/** Undefined for a word that can't be expanded: the build will say so. */
function tryExpand(word: string, escape: string, lookup: (name: string) => string | undefined): string | undefined {
  try {
    return expandWord(word, { escape, lookup });
  } catch (error) {
    if (error instanceof ExpansionError) return undefined;
    throw error;
  }
}

function checkDeclared(
  { image, platform, location }: FromInstruction,
  {
    declared,
    escape,
    report,
    findNearest,
  }: { declared: ReadonlySet<string>; escape: string; report: Report; findNearest: FindNearest },
): void {
  const missing = new Set<string>();
  for (const word of [image, platform ?? ""]) {
    try {
      const lookup = (name: string): string | undefined => (declared.has(name) ? "x" : undefined);
      expandWord(word, { escape, lookup, onUndefined: (name) => missing.add(name) });
    } catch (error) {
      if (!(error instanceof ExpansionError)) throw error;
    }
  }
  for (const name of missing) {
    const near = findNearest(name, declared);
    const hint = near === undefined ? "" : ` (did you mean ${near}?)`;
    report("UndefinedArgInFrom", location, `FROM argument '${name}' is not declared${hint}`);
  }
}

/** Images without variables fail by themselves. */
function checkDefaults(
  { image, location }: FromInstruction,
  { values, escape, report }: { values: ReadonlyMap<string, string>; escape: string; report: Report },
): void {
  if (!image.includes("$")) return;
  const reference = tryExpand(image, escape, (name) => values.get(name));
  if (reference === undefined || (reference.length <= MAX_REFERENCE && REFERENCE.test(reference))) return;
  report(
    "InvalidDefaultArgInFrom",
    location,
    `Default value for ARG ${image} results in empty or invalid base image name`,
  );
}

function checkPlatform(
  { platform, stageName, location }: FromInstruction,
  { escape, report }: { escape: string; report: Report },
): void {
  if (platform === undefined) return;
  const names: string[] = [];
  const value = tryExpand(platform, escape, (name) => {
    names.push(name);
    return `<${name}>`;
  });
  if (value === undefined) return;
  if (value === "<TARGETPLATFORM>")
    report(
      "RedundantTargetPlatform",
      location,
      `Setting platform to predefined ${platform} in FROM is redundant as this is the default behavior`,
    );
  if (names.length === 0 && isPlatform(value) && !namesPlatform(stageName?.toLowerCase() ?? "", value))
    report(
      "FromPlatformFlagConstDisallowed",
      location,
      `FROM --platform flag should not use constant value "${value}"`,
    );
}

const SYSTEMS = ["linux", "windows", "darwin", "freebsd", "openbsd", "netbsd", "solaris", "wasip1"];
const ARCHITECTURES: Readonly<Record<string, string>> = {
  x86_64: "amd64",
  "x86-64": "amd64",
  aarch64: "arm64",
  i386: "386",
};

function isPlatform(value: string): boolean {
  return /^[A-Za-z0-9_.-]+(?:\/[A-Za-z0-9_.-]+){0,2}$/.test(value);
}

/** A stage such as `build-amd64` is for one platform on purpose. */
function namesPlatform(stageName: string, platform: string): boolean {
  const [first = "", second] = platform.toLowerCase().split("/");
  const isSystem = second !== undefined || SYSTEMS.includes(first);
  const architecture = isSystem ? second : first;
  const wanted = [
    isSystem ? first : "linux",
    architecture === undefined ? undefined : (ARCHITECTURES[architecture] ?? architecture),
  ];
  return wanted.some((word) => word !== undefined && stageName.includes(word));
}
