import { CodedError } from "@varve/oci";

/** Where a build failed. */
export interface BuildErrorPlace {
  /** The step's name. */
  readonly step?: string;
  /** The Dockerfile, and the line in it. */
  readonly file?: string;
  readonly line?: number;
}

/**
 * Thrown by `build()`. `code` is one of docs/errors.md, such as `COMMAND_FAILED`, `CANCELLED`, `USAGE`; `FAILED` where
 * the build ended without a word.
 */
export class BuildError extends CodedError {
  readonly step: string | undefined;
  readonly file: string | undefined;
  readonly line: number | undefined;

  constructor(
    code: string,
    message: string,
    { place = {}, ...options }: { readonly place?: BuildErrorPlace; readonly hint?: string; readonly cause?: unknown },
  ) {
    super(code, message, options);
    this.step = place.step;
    this.file = place.file;
    this.line = place.line;
  }
}
