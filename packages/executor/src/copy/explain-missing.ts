import type { FileSet } from "@varve/graph";
import type { FileTree } from "@varve/layer";
import { nearest } from "@varve/dockerfile";
import type { ContextTree } from "../context/context-tree.ts";
import { StepError } from "../errors.ts";
import { cleanPath } from "./selection.ts";

/** What was looked for, and where. */
export interface MissingPlace {
  /** What was to be done: `COPY`, `ADD`, `mount`. */
  readonly verb: string;
  /** As the Dockerfile has it, its variables replaced. */
  readonly path: string;
  readonly from: FileSet;
  readonly tree: FileTree;
}

/** Runs `select`; where its source is missing, says why: the .dockerignore line, or a name that is close. */
export function explainMissing<T>(select: () => T, place: MissingPlace): T {
  try {
    return select();
  } catch (cause) {
    if (!(cause instanceof StepError) || cause.code !== "SOURCE_MISSING") throw cause;
    const hint = ignoredHint(place) ?? nearHint(place);
    throw new StepError("SOURCE_MISSING", `Cannot ${place.verb} "${place.path}": not found${whereOf(place)}`, {
      cause,
      word: place.path,
      ...(hint === undefined ? {} : { hint }),
    });
  }
}

function whereOf({ verb, from }: MissingPlace): string {
  const done = verb === "mount" ? "mounted" : "copied";
  if (from.type === "step") return ` in the stage or image it is ${done} from`;
  return from.name === "" ? " in the build context" : ` in build context "${from.name}"`;
}

function ignoredHint({ path: wanted, tree }: MissingPlace): string | undefined {
  if (!("isIgnored" in tree)) return undefined;
  const context = tree as ContextTree;
  const names = cleanPath(wanted).split("/");
  for (let count = 1; count <= names.length; count += 1) {
    const path = names.slice(0, count).join("/");
    if (!context.isIgnored(path)) continue;
    const pattern = context.source.ignore?.matches(path).pattern;
    const line = pattern === undefined ? "" : `: line ${pattern.line}, "${pattern.text}"`;
    return `The path is excluded by ${context.source.ignoreFile ?? ".dockerignore"}${line}`;
  }
  return undefined;
}

/** The first name of the path that is not there may be a misspelling of one that is. */
function nearHint({ path, tree }: MissingPlace): string | undefined {
  const names = cleanPath(path).split("/");
  const missing = names.findIndex((_, index) => tree.lookup(names.slice(0, index + 1).join("/")) === undefined);
  const name = names[missing];
  if (name === undefined) return undefined;
  const near = nearest(name, tree.list(names.slice(0, missing).join("/")));
  return near === undefined ? undefined : `Did you mean "${names.with(missing, near).join("/")}"?`;
}
