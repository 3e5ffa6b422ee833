import { type Challenge, parseChallenges } from "./challenge.ts";
import { findCredentials, type FoundCredentials } from "./credentials.ts";
import { RegistryError } from "./errors.ts";
import { basicHeader, fetchToken, type Token, TokenRefused } from "./fetch-token.ts";
import { mergeScopes } from "./scopes.ts";

/** Knows what to send as `Authorization` to one registry, for one of its repositories. */
export interface Authorizer {
  /**
   * The header for a request that needs `scopes`, as far as earlier answers told how to get it; undefined: none.
   * @throws RegistryError `UNAUTHORIZED` where the token server refuses.
   */
  authorize(scopes: readonly string[]): Promise<string | undefined>;
  /**
   * Learns from a 401 answer to a request for `scopes` that had this header; true where it is worth asking again.
   * @throws RegistryError `UNAUTHORIZED` where the token server refuses.
   */
  learn(response: Response, scopes: readonly string[], refused: string | undefined): Promise<boolean>;
  /** The error for a registry that still does not accept who is asking. */
  refusal(status: number, detail?: string): Promise<RegistryError>;
}

export interface AuthorizerOptions {
  readonly registry: string;
  readonly repository: string;
  /** Scheme and host of the registry's API. */
  readonly origin: string;
}

/** Tokens are renewed this long before they expire: milliseconds. */
const MARGIN = 10_000;

type Method =
  | { readonly type: "none" }
  | { readonly type: "basic"; readonly header: string }
  | { readonly type: "bearer"; readonly challenge: Challenge };

/** An authorizer with the credentials of this machine's user, which are looked up when the registry asks for some. */
export function createAuthorizer(options: AuthorizerOptions): Authorizer {
  const { registry, repository } = options;
  const tokens = new Map<string, Promise<Token>>();
  let method: Method = { type: "none" };
  let found: Promise<FoundCredentials> | undefined;
  const credentialsOf = (): Promise<FoundCredentials> => (found ??= findCredentials(registry, repository));

  const request = async (challenge: Challenge, scopes: readonly string[]): Promise<Token> => {
    const { credentials } = await credentialsOf();
    try {
      return await fetchToken(challenge, { ...options, scopes, credentials });
    } catch (error) {
      throw error instanceof TokenRefused ? await refusal(error.status, error.message) : error;
    }
  };
  /** One request at a time for the same scopes; a token until it expires; a failure is not remembered. */
  const tokenFor = async (key: string, challenge: Challenge, scopes: readonly string[]): Promise<Token> => {
    const known = tokens.get(key);
    if (known !== undefined && (await known).expires - MARGIN > Date.now()) return known;
    if (tokens.get(key) !== known) return tokenFor(key, challenge, scopes);
    const fresh = request(challenge, scopes);
    tokens.set(key, fresh);
    fresh.catch(() => tokens.delete(key));
    return fresh;
  };
  const forget = async (key: string, refused: string | undefined): Promise<void> => {
    const known = tokens.get(key);
    const token = await known?.catch(() => undefined);
    if (token !== undefined && bearerHeader(token) === refused && tokens.get(key) === known) tokens.delete(key);
  };
  const refusal = async (status: number, detail = ""): Promise<RegistryError> =>
    unauthorized(options, { status, detail, found: await credentialsOf() });

  return {
    refusal,
    async authorize(scopes) {
      if (method.type === "basic") return method.header;
      if (method.type === "none") return undefined;
      const merged = mergeScopes(scopes);
      return bearerHeader(await tokenFor(merged.join(" "), method.challenge, merged));
    },
    async learn(response, scopes, refused) {
      const challenges = parseChallenges(response.headers.get("www-authenticate") ?? "");
      const bearer = challenges.find(({ scheme }) => scheme === "bearer");
      if (bearer !== undefined) {
        method = { type: "bearer", challenge: bearer };
        const { scope = "" } = bearer.parameters;
        const key = mergeScopes(scopes).join(" ");
        await forget(key, refused);
        await tokenFor(key, bearer, mergeScopes([...scopes, ...scope.split(" ").filter(Boolean)]));
        return true;
      }
      const { credentials } = await credentialsOf();
      const isBasic = challenges.some(({ scheme }) => scheme === "basic");
      if (!isBasic || credentials?.type !== "password") return false;
      const header = basicHeader(credentials);
      method = { type: "basic", header };
      return header !== refused;
    },
  };
}

function bearerHeader({ value }: Token): string {
  return `Bearer ${value}`;
}

interface Refusal {
  readonly status: number;
  readonly detail: string;
  readonly found: FoundCredentials;
}

function unauthorized({ registry, origin }: AuthorizerOptions, { status, detail, found }: Refusal): RegistryError {
  const { credentials, problem } = found;
  const state =
    credentials === undefined
      ? "authentication required, and no credentials were found for it"
      : `authentication required, and the credentials from ${credentials.source} were refused`;
  const again = `docker login ${registry === "docker.io" ? "" : registry}`.trim();
  return new RegistryError(
    "UNAUTHORIZED",
    `Cannot log in to registry "${registry}": ${state} (${status}${detail === "" ? "" : `: ${detail}`})`,
    {
      status,
      url: origin,
      hint: problem === undefined ? `Log in with ${again}` : `${problem}; or log in with ${again}`,
    },
  );
}
