import { parseDockerfile } from "@varve/dockerfile";

/** `--call=targets`: prints the named stages and the default one, with the comment above each. Gives 0. */
export function showTargets({ text, file }: { readonly text: string; readonly file: string }): number {
  const { dockerfile } = parseDockerfile(text, { file });
  const lines = dockerfile.text.split(/\r?\n/);
  const rows = dockerfile.stages.flatMap(({ from }, position): readonly (readonly [string, string])[] => {
    const isDefault = position === dockerfile.stages.length - 1;
    const name = from.stageName ?? "";
    if (name === "" && !isDefault) return [];
    const words = [name, ...(isDefault ? ["(default)"] : [])].filter((word) => word !== "");
    return [[words.join(" "), name === "" ? "" : describeStage(name, lines[from.location.line - 2] ?? "")]];
  });
  const width = Math.max(...[["TARGET"], ...rows].map(([name = ""]) => name.length)) + 4;
  for (const [name, description] of [["TARGET", "DESCRIPTION"], ...rows])
    process.stdout.write(`${`${(name ?? "").padEnd(width)}${description}`.trimEnd()}\n`);
  return 0;
}

/** A comment `# NAME what it is for` right above a stage describes it: Docker build checks, InvalidDefinitionDescription. */
function describeStage(name: string, lineAbove: string): string {
  const [, word, description = ""] = /^\s*#\s*(\S+)\s+(.*)$/.exec(lineAbove) ?? [];
  return word?.toLowerCase() === name.toLowerCase() ? description.trim() : "";
}
