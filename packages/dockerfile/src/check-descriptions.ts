import type { Report } from "./check-rules.ts";
import { parseDirectives } from "./directives.ts";
import type { Dockerfile } from "./instruction.ts";
import type { Location } from "./location.ts";
import { trim } from "./white-space.ts";

/** Reports a comment right above an ARG or a named stage that does not begin with its name. */
export function checkDescriptions({ file, text, globalArgs, stages }: Dockerfile, report: Report): void {
  const lines = text.split(/\r?\n/);
  const { count } = parseDirectives(lines, file);
  const check = (what: string, names: readonly string[], location: Location): void => {
    const comment = location.line - 1 > count ? commentIn(lines[location.line - 2] ?? "") : undefined;
    if (comment === undefined || names.includes(comment.split(/\s/)[0] ?? "")) return;
    const example = names.length > 1 ? "<arg_key>" : names[0];
    report(
      "InvalidDefinitionDescription",
      location,
      `Comment for ${what} should follow the format: \`# ${example} <description>\``,
    );
  };
  for (const { from } of stages) {
    if (from.stageName !== undefined) check("build stage", [from.stageName.toLowerCase()], from.location);
  }
  for (const instruction of [...globalArgs, ...stages.flatMap(({ instructions }) => instructions)]) {
    if (instruction.kind !== "ARG") continue;
    const names = instruction.args.map(({ name }) => name);
    check("ARG", names, instruction.location);
  }
}

function commentIn(line: string): string | undefined {
  const text = trim(line);
  return text.startsWith("#") ? trim(text.slice(1)) : undefined;
}
