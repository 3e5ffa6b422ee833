/** Why the server gave no answer that can be shown. */
export class AnswerError extends Error {
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

const TOKEN = "varve-cache-token";

/** Keeps a token for this tab; an empty one is forgotten. */
export function keepToken(token: string): void {
  if (token === "") sessionStorage.removeItem(TOKEN);
  else sessionStorage.setItem(TOKEN, token);
}

/**
 * The answer of the protocol at `path`.
 * @throws AnswerError with the server's message; its status is 0 where there is no server.
 */
export async function fetchJson<T>(path: string): Promise<T> {
  const token = sessionStorage.getItem(TOKEN);
  const headers = token === null ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(`varve/v1${path}`, { headers }).catch(() => {
    throw new AnswerError("The server does not answer", 0);
  });
  const body = (await response.json().catch(() => ({}))) as { readonly error?: { readonly message: string } };
  if (!response.ok) throw new AnswerError(body.error?.message ?? response.statusText, response.status);
  return body as T;
}
