import { isSpecifiedCode, RegistryError, type RegistryErrorCode } from "./errors.ts";
import { isPassingStatus, readText } from "./http.ts";

/** What was asked for, as far as it says what a 404 or a 400 means. */
type Subject = "blob" | "manifest" | "upload" | "repository";

export interface Question {
  /** In words: completes "Cannot …". */
  readonly action: string;
  readonly subject: Subject;
}

const BY_STATUS: Readonly<Record<number, RegistryErrorCode>> = {
  401: "UNAUTHORIZED",
  403: "DENIED",
  405: "UNSUPPORTED",
  413: "SIZE_INVALID",
  429: "TOOMANYREQUESTS",
};
/** These statuses mean the same in every registry, whatever code the body has. */
const DECISIVE = new Set([401, 403, 429]);
const UNKNOWN: Readonly<Record<Subject, RegistryErrorCode>> = {
  blob: "BLOB_UNKNOWN",
  manifest: "MANIFEST_UNKNOWN",
  upload: "BLOB_UPLOAD_UNKNOWN",
  repository: "NAME_UNKNOWN",
};
const REFUSED: Readonly<Record<Subject, RegistryErrorCode>> = {
  blob: "BLOB_UPLOAD_INVALID",
  manifest: "MANIFEST_INVALID",
  upload: "BLOB_UPLOAD_INVALID",
  repository: "NAME_INVALID",
};
const HINTS: Readonly<Partial<Record<RegistryErrorCode, string>>> = {
  DENIED: "The account may not do this: check its rights on the repository, or log in as another",
  NAME_UNKNOWN: "Check the name; a private repository needs docker login",
  MANIFEST_UNKNOWN: "Check the name and the tag; a private image needs docker login",
  TOOMANYREQUESTS: "Wait, or log in: anonymous pulls are limited",
  UNAVAILABLE: "The registry has trouble of its own: try again later",
  SIZE_INVALID: "The registry, or a proxy before it, takes nothing that large",
};

/** The error for an answer that is not a success. Reads its body. */
export async function answerError(response: Response, { action, subject }: Question): Promise<RegistryError> {
  const { status, url } = response;
  const errors = parseErrors(await readText(response));
  // Beside a missing blob, distribution tells what it found of it; that comes first and says less.
  const telling = errors.find((each) => each.code === "MANIFEST_BLOB_UNKNOWN") ?? errors[0];
  const code = codeOf(status, { answered: telling?.code ?? "", subject });
  const details = errors.map(({ code: each, message }) => [each, message].filter(Boolean).join(" ")).join("; ");
  const hint = HINTS[code];
  return new RegistryError(
    code,
    `Cannot ${action}: the registry answered ${status}${details === "" ? "" : `: ${details}`}`,
    { status, url, retryable: isPassingStatus(status), ...(hint === undefined ? {} : { hint }) },
  );
}

function codeOf(
  status: number,
  { answered, subject }: { readonly answered: string; readonly subject: Subject },
): RegistryErrorCode {
  if (isSpecifiedCode(answered) && !DECISIVE.has(status)) return answered;
  const known = BY_STATUS[status];
  if (known !== undefined) return known;
  if (status === 404) return UNKNOWN[subject];
  if (status === 400) return REFUSED[subject];
  return status >= 500 ? "UNAVAILABLE" : "PROTOCOL";
}

interface AnsweredError {
  readonly code?: string;
  readonly message?: string;
}

/** The error body of the distribution specification; empty for any other. */
export function parseErrors(body: string): readonly AnsweredError[] {
  try {
    const { errors } = JSON.parse(body) as { readonly errors?: unknown };
    if (!Array.isArray(errors)) return [];
    return errors.slice(0, 5).map((each: { readonly code?: unknown; readonly message?: unknown } | null) => ({
      ...(typeof each?.code === "string" ? { code: printable(each.code) } : {}),
      ...(typeof each?.message === "string" ? { message: printable(each.message) } : {}),
    }));
  } catch {
    return [];
  }
}

/** What a registry writes is shown in a terminal. */
function printable(text: string): string {
  return text.replaceAll(/[\x00-\x1f\x7f-\x9f]+/g, " ").slice(0, 300);
}
