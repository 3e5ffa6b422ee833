import { parseErrors } from "./answer-error.ts";
import type { Challenge } from "./challenge.ts";
import type { Credentials } from "./credentials.ts";
import { RegistryError } from "./errors.ts";
import { readText, sendRequest } from "./http.ts";
import { isLoopback } from "./settings.ts";

/** What gives access to a registry for a while. */
export interface Token {
  readonly value: string;
  /** Milliseconds since 1970. */
  readonly expires: number;
}

export interface TokenRequest {
  readonly registry: string;
  /** Where the challenge came from: scheme and host. */
  readonly origin: string;
  readonly scopes: readonly string[];
  readonly credentials: Credentials | undefined;
}

/** The token server's refusal; what else there is to say about credentials, the caller knows. */
export class TokenRefused extends Error {
  readonly status: number;

  constructor(status: number, detail: string) {
    super(detail);
    this.status = status;
  }
}

const CLIENT = "varve";
/** Seconds: what the specification has where the server says nothing, and at least. */
const LIFETIME = 60;

/**
 * A token as distribution's token authentication has it: an OAuth2 POST where there are credentials, else, or where
 * the server does not know that, a GET.
 * @throws TokenRefused; RegistryError `PROTOCOL`, and all that `sendRequest` throws.
 */
export async function fetchToken(challenge: Challenge, request: TokenRequest): Promise<Token> {
  const { credentials } = request;
  if (credentials?.type === "registry-token") return { value: credentials.token, expires: Number.POSITIVE_INFINITY };
  const realm = checkRealm(challenge, request);
  const posted = credentials === undefined ? undefined : await postForToken(realm, challenge, request);
  const usePosted = posted?.ok === true || credentials?.type === "identity-token";
  const response = posted !== undefined && usePosted ? posted : await getToken(realm, challenge, request);
  const body = await readText(response);
  if (!response.ok) throw new TokenRefused(response.status, describeRefusal(body));
  return readToken(body, request);
}

/** Secrets are not sent in the clear where the registry itself is spoken to by https. */
function checkRealm({ parameters }: Challenge, { registry, origin, credentials }: TokenRequest): string {
  const { realm } = parameters;
  if (realm === undefined || !URL.canParse(realm) || !/^https?:/.test(realm))
    throw new RegistryError("PROTOCOL", `Cannot log in to "${registry}": its challenge names no token server`);
  const { protocol, host } = new URL(realm);
  if (credentials !== undefined && protocol === "http:" && origin.startsWith("https:") && !isLoopback(host))
    throw new RegistryError(
      "PROTOCOL",
      `Cannot log in to "${registry}": its token server "${host}" is spoken to by http; wanted https`,
    );
  return realm;
}

async function postForToken(realm: string, { parameters }: Challenge, request: TokenRequest): Promise<Response> {
  const { scopes, credentials } = request;
  const form = new URLSearchParams({
    client_id: CLIENT,
    scope: scopes.join(" "),
    service: parameters["service"] ?? "",
  });
  if (credentials?.type === "password") {
    form.set("grant_type", "password");
    form.set("username", credentials.username);
    form.set("password", credentials.password);
  } else if (credentials?.type === "identity-token") {
    form.set("grant_type", "refresh_token");
    form.set("refresh_token", credentials.token);
  }
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  return sendRequest(realm, { method: "POST", headers, body: form.toString() });
}

function getToken(realm: string, { parameters }: Challenge, { scopes, credentials }: TokenRequest): Promise<Response> {
  const url = new URL(realm);
  if (parameters["service"] !== undefined) url.searchParams.set("service", parameters["service"]);
  for (const scope of scopes) url.searchParams.append("scope", scope);
  if (credentials?.type !== "password") return sendRequest(url.href, {});
  url.searchParams.set("account", credentials.username);
  return sendRequest(url.href, { headers: { authorization: basicHeader(credentials) } });
}

function readToken(body: string, { registry }: TokenRequest): Token {
  const { token, access_token, expires_in } = parseJson(body);
  const value = [token, access_token].find((each) => typeof each === "string" && each !== "");
  if (typeof value !== "string")
    throw new RegistryError("PROTOCOL", `Cannot log in to "${registry}": its token server gave no token`);
  const seconds = typeof expires_in === "number" ? Math.max(expires_in, LIFETIME) : LIFETIME;
  return { value, expires: Date.now() + seconds * 1000 };
}

function describeRefusal(body: string): string {
  const [error] = parseErrors(body);
  const { details, message, error_description } = parseJson(body);
  return (
    ([error?.message, details, error_description, message].find((each) => typeof each === "string") as string) ?? ""
  );
}

function parseJson(body: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}

/** RFC 7617. */
export function basicHeader({ username, password }: Extract<Credentials, { type: "password" }>): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}
