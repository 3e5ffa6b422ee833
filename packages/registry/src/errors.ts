import { CodedError } from "@varve/oci";

/** Codes of the distribution specification, "Error Codes", and `UNAVAILABLE`, which registries add for an outage. */
const SPECIFIED = [
  "BLOB_UNKNOWN",
  "BLOB_UPLOAD_INVALID",
  "BLOB_UPLOAD_UNKNOWN",
  "DENIED",
  "DIGEST_INVALID",
  "MANIFEST_BLOB_UNKNOWN",
  "MANIFEST_INVALID",
  "MANIFEST_UNKNOWN",
  "NAME_INVALID",
  "NAME_UNKNOWN",
  "SIZE_INVALID",
  "TOOMANYREQUESTS",
  "UNAUTHORIZED",
  "UNAVAILABLE",
  "UNSUPPORTED",
] as const;

/** What a registry answers, and what goes wrong where it gives no answer, or one that it must not. */
export type RegistryErrorCode =
  | (typeof SPECIFIED)[number]
  | "UNREACHABLE"
  | "TLS_FAILED"
  | "PROTOCOL"
  | "CREDENTIALS_INVALID";

/** True for a code that a registry may answer with. */
export function isSpecifiedCode(code: string): code is (typeof SPECIFIED)[number] {
  return SPECIFIED.includes(code as (typeof SPECIFIED)[number]);
}

export interface RegistryErrorOptions {
  readonly status?: number;
  /** Printed without query and user. */
  readonly url?: string;
  readonly retryable?: boolean;
  readonly hint?: string;
  readonly cause?: unknown;
}

/** Thrown where a registry can't be reached, refuses, or answers what it must not. */
export class RegistryError extends CodedError<RegistryErrorCode> {
  /** HTTP status; undefined where there was no answer. */
  readonly status: number | undefined;
  /** What was asked, without query and user; undefined where nothing was. */
  readonly url: string | undefined;
  /** True where the same may succeed a little later. */
  readonly retryable: boolean;

  constructor(code: RegistryErrorCode, message: string, options: RegistryErrorOptions = {}) {
    super(code, message, options);
    this.status = options.status;
    this.url = options.url === undefined ? undefined : redactUrl(options.url);
    this.retryable = options.retryable ?? false;
  }
}

/** A URL without what could be a secret: user, password, query, fragment. */
export function redactUrl(url: string): string {
  if (!URL.canParse(url)) return "";
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
}
