import { CodedError } from "@varve/oci";

export type ServerErrorCode =
  | "REQUEST_INVALID"
  | "DIGEST_MISMATCH"
  | "SIZE_MISMATCH"
  | "TOKEN_INVALID"
  | "FORBIDDEN"
  | "NOT_FOUND"
  | "TOO_SLOW"
  | "LENGTH_REQUIRED"
  | "TOO_LARGE"
  | "RANGE_INVALID"
  | "BLOBS_MISSING"
  | "UPLOAD_INCOMPLETE"
  | "RATE_LIMITED"
  | "INTERNAL"
  | "STOPPING"
  | "STORAGE_FULL"
  | "QUOTA_EXCEEDED"
  | "SETTINGS_INVALID"
  | "SERVER_USAGE"
  | "STORAGE_LOCKED"
  | "STORAGE_FORMAT"
  | "ADDRESS_UNUSABLE"
  | "ANSWER_INVALID";

/** The HTTP status of each code; those without one never leave the process. */
const STATUS: Readonly<Partial<Record<ServerErrorCode, number>>> = {
  REQUEST_INVALID: 400,
  DIGEST_MISMATCH: 400,
  SIZE_MISMATCH: 400,
  TOKEN_INVALID: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  TOO_SLOW: 408,
  LENGTH_REQUIRED: 411,
  TOO_LARGE: 413,
  RANGE_INVALID: 416,
  BLOBS_MISSING: 422,
  UPLOAD_INCOMPLETE: 422,
  RATE_LIMITED: 429,
  STOPPING: 503,
  STORAGE_FULL: 507,
  QUOTA_EXCEEDED: 507,
};

/** Thrown where a request can't be carried out as it stands, or the server not be started. */
export class ServerError extends CodedError<ServerErrorCode> {
  /** More members of the answer's body: what is missing. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ServerErrorCode,
    message: string,
    options: {
      readonly hint?: string;
      readonly cause?: unknown;
      readonly details?: Readonly<Record<string, unknown>>;
    } = {},
  ) {
    super(code, message, options);
    this.details = options.details ?? {};
  }

  /** The HTTP status that tells it. */
  get status(): number {
    return STATUS[this.code] ?? 500;
  }
}

/** What a full disk makes of a write: `STORAGE_FULL`; any other error as it is. */
export function explainWriteError(error: unknown): unknown {
  for (let each = error; each instanceof Error; each = each.cause) {
    const code = (each as NodeJS.ErrnoException).code;
    if (code === "ENOSPC" || code === "EDQUOT" || /No space left on device/.test(each.message))
      return new ServerError("STORAGE_FULL", "Cannot store: the server's disk is full", { cause: error });
  }
  return error;
}
