import { type Dockerfile, nearest } from "@varve/dockerfile";
import { GraphError } from "./errors.ts";

/**
 * Position of the stage to build: by name, without regard to case, the last of several; the last one where none is
 * named.
 * @throws GraphError `TARGET_UNKNOWN`.
 */
export function findTarget({ stages, file }: Dockerfile, target: string | undefined): number {
  if (target === undefined || target === "") return stages.length - 1;
  const names = stages.map((stage) => stage.from.stageName?.toLowerCase());
  const index = names.lastIndexOf(target.toLowerCase());
  if (index >= 0) return index;
  const near = nearest(
    target,
    names.filter((name) => name !== undefined),
  );
  throw new GraphError(
    "TARGET_UNKNOWN",
    `Cannot build target "${target}": target stage "${target}" could not be found in ${file}`,
    { hint: near === undefined ? "Name a stage with FROM … AS NAME" : `Did you mean "${near}"?` },
  );
}
