import { type Challenge, parseChallenges } from "./challenge.ts";
import { type Credentials, findCredentials } from "./credentials.ts";
import { RegistryError } from "./errors.ts";

/** Knows what to send as `Authorization` to one registry. */
export interface Authorizer {
  /** The header for a request that needs `scopes`, as far as earlier answers told; undefined: none. */
  header(scopes: readonly string[]): string | undefined;
  /**
   * Learns from a 401 answer to a request that was sent with `refused` as its header; true where it is worth asking
   * again.
   * @throws RegistryError `UNAUTHORIZED` where the token server refuses.
   */
  learn(
    response: Response,
    request: { readonly scopes: readonly string[]; readonly refused: string | undefined },
  ): Promise<boolean>;
}

interface Token {
  readonly value: string;
  /** Milliseconds since 1970. */
  readonly expires: number;
}

/** Tokens are renewed this long before they expire: milliseconds. */
const MARGIN = 10_000;
const DEFAULT_LIFETIME = 60;
const CLIENT = "varve";

/** An authorizer for `repository` of `registry`, with the credentials of this machine's user. */
export function createAuthorizer(
  registry: string,
  repository: string,
  request: (url: string, init: RequestInit) => Promise<Response>,
): Authorizer {
  const tokens = new Map<string, Token>();
  const running = new Map<string, Promise<Token>>();
  let basic: string | undefined;
  const keyOf = (scopes: readonly string[]): string => scopes.toSorted().join(" ");
  const fetchOnce = (
    challenge: Challenge,
    scopes: readonly string[],
    credentials: Credentials | undefined,
  ): Promise<Token> => {
    const key = keyOf(scopes);
    const known = running.get(key);
    if (known !== undefined) return known;
    const made = fetchToken(challenge, { scopes, credentials, request, registry }).finally(() => running.delete(key));
    running.set(key, made);
    return made;
  };
  return {
    header(scopes) {
      if (basic !== undefined) return basic;
      const token = tokens.get(keyOf(scopes));
      return token === undefined || token.expires - MARGIN < Date.now() ? undefined : `Bearer ${token.value}`;
    },
    async learn(response, { scopes, refused }) {
      const challenges = parseChallenges(response.headers.get("www-authenticate") ?? "");
      const credentials = await findCredentials(registry, repository);
      const bearer = challenges.find(({ scheme }) => scheme === "bearer");
      if (bearer !== undefined) {
        tokens.set(keyOf(scopes), await fetchOnce(bearer, scopes, credentials));
        return true;
      }
      const hasBasic = challenges.some(({ scheme }) => scheme === "basic");
      if (!hasBasic || credentials?.type !== "password") return false;
      basic = basicHeader(credentials);
      return basic !== refused;
    },
  };
}

function basicHeader({ username, password }: Extract<Credentials, { type: "password" }>): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

interface TokenRequest {
  readonly scopes: readonly string[];
  readonly credentials: Credentials | undefined;
  readonly request: (url: string, init: RequestInit) => Promise<Response>;
  readonly registry: string;
}

/** Distribution's token authentication: an OAuth2 POST where there are credentials, else, or where that is unknown, a GET. */
async function fetchToken(challenge: Challenge, options: TokenRequest): Promise<Token> {
  const { credentials, registry } = options;
  if (credentials?.type === "registry-token") return { value: credentials.token, expires: Number.POSITIVE_INFINITY };
  const realm = challenge.parameters["realm"];
  if (realm === undefined || !URL.canParse(realm))
    throw new RegistryError("PROTOCOL", `Cannot log in to "${registry}": its challenge names no token server`);
  const posted = credentials === undefined ? undefined : await postForToken(realm, challenge, options);
  const response = posted ?? (await getToken(realm, challenge, options));
  if (!response.ok) throw await refused(response, options);
  const body = (await response.json()) as {
    readonly token?: string;
    readonly access_token?: string;
    readonly expires_in?: number;
  };
  const value = body.token ?? body.access_token;
  if (value === undefined)
    throw new RegistryError("PROTOCOL", `Cannot log in to "${registry}": its token server gave no token`);
  return { value, expires: Date.now() + Math.max(body.expires_in ?? DEFAULT_LIFETIME, DEFAULT_LIFETIME) * 1000 };
}

async function postForToken(
  realm: string,
  { parameters }: Challenge,
  { scopes, credentials, request }: TokenRequest,
): Promise<Response | undefined> {
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
  const response = await request(realm, { method: "POST", body: form });
  if (response.ok) return response;
  await response.body?.cancel();
  return undefined;
}

function getToken(
  realm: string,
  { parameters }: Challenge,
  { scopes, credentials, request }: TokenRequest,
): Promise<Response> {
  const url = new URL(realm);
  if (parameters["service"] !== undefined) url.searchParams.set("service", parameters["service"]);
  for (const scope of scopes) url.searchParams.append("scope", scope);
  const password = credentials?.type === "password" ? credentials : undefined;
  if (password !== undefined) url.searchParams.set("account", password.username);
  return request(url.href, { headers: password === undefined ? {} : { authorization: basicHeader(password) } });
}

async function refused(response: Response, { credentials, registry }: TokenRequest): Promise<RegistryError> {
  await response.body?.cancel();
  return unauthorized(registry, { status: response.status, source: credentials?.source });
}

/** The error for a registry that does not accept who is asking. */
export function unauthorized(
  registry: string,
  { status, source }: { readonly status: number; readonly source: string | undefined },
): RegistryError {
  const hint =
    source === undefined
      ? `Log in with docker login ${registry}`
      : `The credentials come from ${source}: log in again with docker login ${registry}`;
  return new RegistryError(
    "UNAUTHORIZED",
    `Cannot log in to registry "${registry}": authentication is required and was refused (${status})`,
    { status, hint },
  );
}
