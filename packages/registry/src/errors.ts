import { CodedError } from "@varve/oci";

/** The distribution specification's codes, and what goes wrong before a registry can answer with one. */
export type RegistryErrorCode =
  | "UNAUTHORIZED"
  | "DENIED"
  | "NAME_UNKNOWN"
  | "NAME_INVALID"
  | "MANIFEST_UNKNOWN"
  | "MANIFEST_REJECTED"
  | "BLOB_REJECTED"
  | "TOO_MANY_REQUESTS"
  | "UNSUPPORTED"
  | "UNREACHABLE"
  | "PROTOCOL"
  | "CREDENTIALS_INVALID";

/** Thrown where a registry can't be reached, refuses, or answers what it must not. */
export class RegistryError extends CodedError<RegistryErrorCode> {
  /** HTTP status; undefined where there was no answer. */
  readonly status: number | undefined;

  constructor(
    code: RegistryErrorCode,
    message: string,
    options: { readonly status?: number; readonly hint?: string; readonly cause?: unknown } = {},
  ) {
    super(code, message, options);
    this.status = options.status;
  }
}
