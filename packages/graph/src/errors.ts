import { CodedError } from "@varve/oci";
import type { Location } from "@varve/dockerfile";

export type GraphErrorCode =
  | "STAGE_UNKNOWN"
  | "TARGET_UNKNOWN"
  | "BASE_INVALID"
  | "COPY_UNSUPPORTED"
  | "MOUNT_INVALID"
  | "PORT_INVALID"
  | "SIGNAL_INVALID"
  | "OPTION_INVALID"
  | "WORKDIR_INVALID";

/** Thrown where instructions that parse make no sense together. */
export class GraphError extends CodedError<GraphErrorCode> {
  readonly location: Location | undefined;
  /** What at the location is wrong: errors are shown with a marker under it. */
  readonly word: string | undefined;

  constructor(
    code: GraphErrorCode,
    message: string,
    options: {
      readonly location?: Location | undefined;
      readonly word?: string | undefined;
      readonly hint?: string | undefined;
      readonly cause?: unknown;
    } = {},
  ) {
    super(code, message, {
      ...("cause" in options ? { cause: options.cause } : {}),
      ...(options.hint === undefined ? {} : { hint: options.hint }),
    });
    this.location = options.location;
    this.word = options.word;
  }
}
