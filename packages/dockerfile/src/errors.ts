import type { Location } from "./location.ts";

export type DockerfileErrorCode =
  | "SYNTAX"
  | "UNKNOWN_INSTRUCTION"
  | "UNKNOWN_FLAG"
  | "BAD_FLAG"
  | "BAD_ARGUMENT"
  | "UNTERMINATED_HEREDOC"
  | "BAD_EXPANSION"
  | "NO_STAGE"
  | "CHECK_FAILED";

/** Thrown where a Dockerfile or an ignore file can't be understood. */
export class DockerfileError extends Error {
  readonly code: DockerfileErrorCode;
  /** What the user can do about it: one sentence without a final stop. */
  readonly hint: string | undefined;
  readonly location: Location | undefined;
  /** What at the location is wrong: errors are shown with a marker under it. */
  readonly word: string | undefined;

  constructor(
    code: DockerfileErrorCode,
    message: string,
    options: {
      readonly location?: Location | undefined;
      readonly word?: string | undefined;
      readonly hint?: string | undefined;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = "DockerfileError";
    this.code = code;
    this.hint = options.hint;
    this.location = options.location;
    this.word = options.word;
  }
}
