import { CodedError } from "@varve/oci";

export type LayerErrorCode =
  | "PATH_ESCAPE"
  | "ENTRY_UNSUPPORTED"
  | "ARCHIVE_CORRUPT"
  | "ARCHIVE_TOO_LARGE"
  | "SOURCE_MISSING"
  | "FILE_CHANGED"
  | "INDEX_INVALID"
  | "DIFF_ID_MISMATCH"
  | "LINK_LOOP"
  | "PERMISSION_MISSING"
  | "TOOL_MISSING";

/** Thrown where a file tree, an archive or a layer can't be read, written or trusted; `path` names what was at fault. */
export class LayerError extends CodedError<LayerErrorCode> {
  readonly path: string | undefined;

  constructor(
    code: LayerErrorCode,
    message: string,
    options: { readonly path?: string; readonly hint?: string; readonly cause?: unknown } = {},
  ) {
    super(code, message, options);
    this.path = options.path;
  }
}
