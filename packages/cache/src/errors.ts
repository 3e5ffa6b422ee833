import { CodedError } from "@varve/oci";

export type CacheErrorCode =
  | "RECORD_INVALID"
  | "FORMAT_UNSUPPORTED"
  | "STORE_LOCKED"
  | "STORE_UNWRITABLE"
  | "DISK_FULL"
  | "PROTOCOL_INVALID"
  | "CONTENT_LOST"
  | "REMOTE_FAILED"
  | "REMOTE_TIMEOUT"
  | "REMOTE_UNTRUSTED";

/** Thrown where a store cannot be used or is asked to hold what it must not. */
export class CacheError extends CodedError<CacheErrorCode> {}
