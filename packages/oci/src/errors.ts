/** An error with a code from a closed list; docs/errors.md explains every code. */
export abstract class CodedError<Code extends string = string> extends Error {
  readonly code: Code;
  /** What the user can do about it: one sentence without a final stop. */
  readonly hint: string | undefined;

  constructor(code: Code, message: string, options: { readonly hint?: string; readonly cause?: unknown } = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = new.target.name;
    this.code = code;
    this.hint = options.hint;
  }
}

export type OciErrorCode =
  | "DIGEST_INVALID"
  | "DIGEST_MISMATCH"
  | "SIZE_INVALID"
  | "REFERENCE_INVALID"
  | "PLATFORM_INVALID"
  | "PLATFORM_UNAVAILABLE"
  | "MANIFEST_INVALID"
  | "MEDIA_TYPE_UNSUPPORTED"
  | "LAYOUT_INVALID"
  | "BLOB_UNKNOWN";

/** Thrown where the image or distribution specification's data is malformed, missing or altered. */
export class OciError extends CodedError<OciErrorCode> {}
