import { type Instruction, nearest, type Stage } from "@varve/dockerfile";
import { CodedError, OciError } from "@varve/oci";
import { GraphError } from "./errors.ts";

/** Where an image is named, and by what. */
export interface ImageUse {
  readonly reference: string;
  readonly instruction: Instruction;
  readonly stages: readonly Stage[];
}

/** Why an image can't be had, with its place; a name that is close to a stage's was probably meant to be that stage. */
export function baseError(cause: unknown, { reference, instruction, stages }: ImageUse): unknown {
  if (!(cause instanceof CodedError)) return cause;
  const near = nearest(
    reference,
    stages.flatMap((stage) => (stage.from.stageName === undefined ? [] : [stage.from.stageName])),
  );
  const hint = near === undefined ? {} : { hint: `Did you mean stage "${near}"?` };
  // A registry's errors keep their codes: what to do about them is not a matter of the Dockerfile.
  if (!(cause instanceof OciError))
    return Object.assign(cause, { location: instruction.location, word: reference, ...hint });
  const isInvalid = cause.code === "REFERENCE_INVALID";
  const what = isInvalid ? `failed to parse stage name "${reference}": ${cause.message}` : cause.message;
  return new GraphError("BASE_INVALID", `Cannot use image "${reference}": ${what}`, {
    location: instruction.location,
    word: reference,
    cause,
    hint: cause.hint,
    ...hint,
  });
}
