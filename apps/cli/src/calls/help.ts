import { formatTable } from "../format-table.ts";
import type { Call } from "./call.ts";
import { writeJson } from "./source-json.ts";

const METHODS: readonly (readonly [name: string, description: string])[] = [
  ["build", "Build the image"],
  ["check", "Look the Dockerfile over: the rules of docs/checks.md"],
  ["outline", "List the build args, secrets and ssh agents of a target"],
  ["targets", "List the stages that can be built"],
  ["help", "List what can be called"],
];

/** `--call=help`: prints what `--call` can ask for. Gives 0. */
export function showMethods({ format }: Call): number {
  if (format === "json") writeJson(METHODS.map(([name, description]) => ({ name, description })));
  else process.stdout.write(formatTable([["NAME", "DESCRIPTION"], ...METHODS]));
  return 0;
}
