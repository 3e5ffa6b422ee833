import { parseCheck } from "./directives.ts";
import type { Warning } from "./instruction.ts";
import { trim } from "./white-space.ts";

const DIRECTIVE = /^check\s*=\s*(\S+)/i;

/** Those of `warnings` that no `# check=skip=…` in the comment right above their instruction leaves out. */
export function dropSkipped(warnings: readonly Warning[], text: string): readonly Warning[] {
  if (warnings.length === 0) return warnings;
  const lines = text.split(/\r?\n/);
  return warnings.filter(({ rule, location }) => {
    const skip = skippedAbove(lines, location.line);
    return skip !== "all" && !skip.includes(rule.toLowerCase());
  });
}

/** Names of rules, in lower case; the first such comment counts, as in BuildKit. */
function skippedAbove(lines: readonly string[], line: number): readonly string[] | "all" {
  let skip: readonly string[] | "all" = [];
  for (let number = line - 1; number >= 1; number -= 1) {
    const comment = trim(lines[number - 1] ?? "");
    if (!comment.startsWith("#")) break;
    const [, value] = DIRECTIVE.exec(trim(comment.slice(1))) ?? [];
    if (value !== undefined) ({ skip } = parseCheck(value));
  }
  return skip === "all" ? skip : skip.map((name) => name.toLowerCase());
}
