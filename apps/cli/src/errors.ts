import { CodedError } from "@varve/oci";

export type CliErrorCode = "USAGE" | "DOCKERFILE_MISSING" | "IMAGE_UNKNOWN";

/** Thrown for a command line that can't be carried out as it stands: exit code 2. */
export class UsageError extends CodedError<CliErrorCode> {
  constructor(message: string, hint?: string) {
    super("USAGE", message, hint === undefined ? {} : { hint });
  }
}

/** Thrown where an image is not where the command line says. */
export class ImageError extends CodedError<CliErrorCode> {}
