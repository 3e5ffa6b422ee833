import type { Memo } from "@varve/cache";
import { StepError } from "../errors.ts";
import type { ContextSelection, SelectionQuery } from "./context-selection.ts";
import { selectInContext } from "./context-selection.ts";
import type { ContextSource } from "./context-tree.ts";
import { createFileDigests, type FileDigests } from "./file-digests.ts";

/** A context that was opened for this build. */
export interface OpenContext {
  readonly source: ContextSource;
  readonly digests: FileDigests;
  readonly memo: Memo;
  /** Has `task` done once the image is made: it serves later builds only. */
  later(task: () => Promise<void>): void;
  /** What is selected by the same words is selected once. */
  select(query: SelectionQuery): Promise<ContextSelection>;
}

/** Opens the context of this name. @throws StepError `CONTEXT_INVALID` where there is none. */
export function openContext(
  name: string,
  {
    contexts,
    memo,
    later,
  }: Pick<OpenContext, "memo" | "later"> & {
    readonly contexts: ReadonlyMap<string, ContextSource>;
  },
): OpenContext {
  const source = contexts.get(name);
  if (source === undefined) throw contextMissing(name);
  const selections = new Map<string, Promise<ContextSelection>>();
  const context: OpenContext = {
    source,
    digests: createFileDigests(),
    memo,
    later,
    select(query) {
      const key = JSON.stringify(query.words);
      const known = selections.get(key) ?? selectInContext(context, query);
      selections.set(key, known);
      return known;
    },
  };
  return context;
}

function contextMissing(name: string): StepError {
  return new StepError(
    "CONTEXT_INVALID",
    name === "" ? "Cannot copy: the build has no context" : `Cannot use build context "${name}": it was not given`,
    {
      hint: name === "" ? "Give a directory as the last argument" : `Give it with --build-context ${name}=PATH`,
    },
  );
}
