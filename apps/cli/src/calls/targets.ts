import { docComment, parseDockerfile } from "@varve/dockerfile";
import { formatTable } from "../format-table.ts";
import type { Call } from "./call.ts";
import { type JsonLocation, toJsonLocation, toJsonSource, writeJson } from "./source-json.ts";

/** A stage, named as BuildKit's `frontend.targets` has it. */
interface Target {
  readonly name?: string;
  readonly default?: true;
  readonly description?: string;
  readonly base: string;
  readonly platform?: string;
  readonly location: JsonLocation;
}

/** `--call=targets`: prints the stages that `--target` takes, with the comment above each. Gives 0. */
export function showTargets(
  { text, file }: { readonly text: string; readonly file: string },
  { format }: Call,
): number {
  const targets = listTargets(text, file);
  if (format === "json") writeJson({ targets, sources: [toJsonSource(text)] });
  else process.stdout.write(formatTargets(targets));
  return 0;
}

function listTargets(text: string, file: string): readonly Target[] {
  const { stages } = parseDockerfile(text, { file }).dockerfile;
  const lines = text.split(/\r?\n/);
  return stages.map(({ from }, position): Target => {
    const { stageName, platform, image, location } = from;
    const name = stageName?.toLowerCase();
    const description = name === undefined ? "" : docComment(lines, location.line, name);
    return {
      ...(name === undefined ? {} : { name }),
      ...(position === stages.length - 1 ? { default: true } : {}),
      ...(description === "" ? {} : { description }),
      base: image,
      ...(platform === undefined ? {} : { platform }),
      location: toJsonLocation(location),
    };
  });
}

/** Stages without a name can't be asked for, but for the last one, which nobody has to name. */
function formatTargets(targets: readonly Target[]): string {
  const rows = targets.flatMap(({ name = "", default: isDefault, description = "" }) => {
    const words = [name, isDefault === true ? "(default)" : ""].filter((word) => word !== "");
    return words.length === 0 ? [] : [[words.join(" "), description]];
  });
  return formatTable([["TARGET", "DESCRIPTION"], ...rows]);
}
