import type { CopySource, CopyStep } from "@varve/graph";
import type { FileTree } from "@varve/layer";
import { nearest } from "@varve/dockerfile";
import type { ContextTree } from "../context/context-tree.ts";
import { StepError } from "../errors.ts";
import { cleanPath } from "./selection.ts";

export interface MissingPlace {
  readonly source: Extract<CopySource, { type: "path" }>;
  readonly tree: FileTree;
  readonly step: CopyStep;
}

/** Runs `select`; where its source is missing, says why: the .dockerignore line, or a name that is close. */
export function explainMissing<T>(select: () => T, place: MissingPlace): T {
  try {
    return select();
  } catch (cause) {
    if (!(cause instanceof StepError) || cause.code !== "SOURCE_MISSING") throw cause;
    const hint = ignoredHint(place) ?? nearHint(place);
    throw new StepError(
      "SOURCE_MISSING",
      `Cannot ${place.step.instruction} "${place.source.path}": not found${whereOf(place)}`,
      {
        cause,
        word: place.source.path,
        ...(hint === undefined ? {} : { hint }),
      },
    );
  }
}

function whereOf({ source }: MissingPlace): string {
  if (source.from.type === "step") return " in the stage or image it is copied from";
  return source.from.name === "" ? " in the build context" : ` in build context "${source.from.name}"`;
}

function ignoredHint({ source, tree }: MissingPlace): string | undefined {
  if (!("isIgnored" in tree)) return undefined;
  const context = tree as ContextTree;
  const names = cleanPath(source.path).split("/");
  for (let count = 1; count <= names.length; count += 1) {
    const path = names.slice(0, count).join("/");
    if (!context.isIgnored(path)) continue;
    const pattern = context.source.ignore?.matches(path).pattern;
    const line = pattern === undefined ? "" : `: line ${pattern.line}, "${pattern.text}"`;
    return `The path is excluded by ${context.source.ignoreFile ?? ".dockerignore"}${line}`;
  }
  return undefined;
}

function nearHint({ source, tree }: MissingPlace): string | undefined {
  const path = cleanPath(source.path);
  const slash = path.lastIndexOf("/");
  const directory = slash < 0 ? "" : path.slice(0, slash);
  const near = nearest(path.slice(slash + 1), tree.list(directory));
  return near === undefined ? undefined : `Did you mean "${directory === "" ? near : `${directory}/${near}`}"?`;
}
