import { CodedError } from "@varve/oci";
import type { Location } from "@varve/dockerfile";

export type ExecutorErrorCode =
  | "COMMAND_FAILED"
  | "SOURCE_MISSING"
  | "COPY_INVALID"
  | "USER_UNKNOWN"
  | "DOWNLOAD_FAILED"
  | "CHECKSUM_MISMATCH"
  | "SECRET_MISSING"
  | "SSH_MISSING"
  | "CONTEXT_INVALID"
  | "CONTEXT_CHANGED"
  | "PLATFORM_UNSUPPORTED"
  | "RUNNER_UNAVAILABLE"
  | "RUNNER_FAILED"
  | "MOUNT_FAILED"
  | "EXPORT_FAILED"
  | "CANCELLED";

/** Where in the build an error arose. */
export interface StepPlace {
  readonly step: string;
  readonly location: Location | undefined;
}

/** Thrown where a step, the context, a runner or an exporter fails. */
export class StepError extends CodedError<ExecutorErrorCode> {
  /** Set by the executor where the error passes the step that it belongs to. */
  readonly place: StepPlace | undefined;
  /** What of the instruction is wrong: errors are shown with a marker under it. */
  readonly word: string | undefined;
  /** Of COMMAND_FAILED. */
  readonly exitCode: number | undefined;

  constructor(
    code: ExecutorErrorCode,
    message: string,
    options: {
      readonly hint?: string;
      readonly cause?: unknown;
      readonly place?: StepPlace;
      readonly word?: string | undefined;
      readonly exitCode?: number;
    } = {},
  ) {
    super(code, message, options);
    this.place = options.place;
    this.word = options.word;
    this.exitCode = options.exitCode;
  }
}
