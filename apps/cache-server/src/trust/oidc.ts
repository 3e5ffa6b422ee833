import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from "jose";
import type { TokenResponse } from "@varve/cache";
import type { Database } from "../database/database.ts";
import { exchangedKey } from "../database/keys.ts";
import { digestOf, hexOf } from "@varve/oci";
import { ServerError } from "../errors.ts";
import { matchOidcRule, type OidcRule } from "./oidc-rules.ts";
import type { Tokens } from "./tokens.ts";

/** Exchanges tokens of OIDC issuers for those of this server. */
export interface TokenExchange {
  /** @throws ServerError `TOKEN_INVALID` for one that no rule takes, whatever the reason. */
  exchange(subjectToken: string): Promise<TokenResponse>;
}

export interface TokenExchangeOptions {
  readonly rules: readonly OidcRule[];
  readonly tokens: Tokens;
  readonly database: Database;
  /** Told why a token was refused: the one who sent it is not. */
  readonly onRefused: (reason: string) => void;
}

/** Only signatures with a public key: whoever could verify an HMAC could forge it. */
const ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];
const MAX_LIFETIME = 3_600_000;
/** Seconds by which clocks may differ. */
const CLOCK_TOLERANCE = 30;
/** Milliseconds for an issuer's answer. */
const ISSUER_TIMEOUT = 5000;

/** An exchange by these rules. */
export function createTokenExchange({ rules, tokens, database, onRefused }: TokenExchangeOptions): TokenExchange {
  const keySets = new Map<string, JWTVerifyGetKey>();
  const verify = async (
    token: string,
  ): Promise<{ readonly claims: JWTPayload; readonly rules: readonly OidcRule[] }> => {
    const issuer = issuerOf(token);
    const ofIssuer = rules.filter((rule) => rule.issuer === issuer);
    const [first] = ofIssuer;
    if (first === undefined) throw new Error(`no rule is for issuer ${JSON.stringify(issuer)}`);
    const keys =
      keySets.get(first.issuer) ?? createRemoteJWKSet(await findKeys(first), { timeoutDuration: ISSUER_TIMEOUT });
    keySets.set(first.issuer, keys);
    const audience = [...new Set(ofIssuer.map((rule) => rule.audience))];
    const { payload } = await jwtVerify(token, keys, {
      issuer: first.issuer,
      audience,
      algorithms: ALGORITHMS,
      clockTolerance: CLOCK_TOLERANCE,
      requiredClaims: ["exp", "iat", "sub"],
    });
    const audiences = [payload.aud ?? []].flat();
    return { claims: payload, rules: ofIssuer.filter((rule) => audiences.includes(rule.audience)) };
  };
  return {
    async exchange(subjectToken) {
      try {
        const { claims, rules: fitting } = await verify(subjectToken);
        const found = matchOidcRule(fitting, claims);
        if (found === undefined) throw new Error(`no rule takes the claims of ${JSON.stringify(claims.sub)}`);
        if (found.rule.once === true) await rememberExchange(database, claims);
        const left = (claims.exp ?? 0) * 1000 - Date.now() + CLOCK_TOLERANCE * 1000;
        const lifetime = Math.min(found.rule.lifetime ?? MAX_LIFETIME, MAX_LIFETIME, Math.max(left, 1000));
        const { token } = await tokens.create({ ...found.grant, lifetime, source: "exchange" });
        return {
          access_token: token,
          token_type: "Bearer",
          issued_token_type: "urn:ietf:params:oauth:token-type:access_token",
          expires_in: Math.floor(lifetime / 1000),
          principal: found.grant.principal,
          lane: found.grant.lane ?? null,
          readChain: found.grant.readChain,
        };
      } catch (cause) {
        onRefused(cause instanceof errors.JOSEError ? `${cause.code}: ${cause.message}` : String(cause));
        throw new ServerError("TOKEN_INVALID", "Cannot exchange the token: no rule of this server takes it", {
          cause,
          hint: "The server's log tells the reason",
        });
      }
    },
  };
}

/** The claim `iss` of a token that nobody has verified yet. */
function issuerOf(token: string): string | undefined {
  const [, payload = ""] = token.split(".");
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString("utf8")) as { readonly iss?: unknown } | null;
  return typeof claims?.iss === "string" ? claims.iss : undefined;
}

/** Where an issuer's keys are. OpenID Connect Discovery 1.0, section 4. */
async function findKeys({ issuer, jwksUri }: OidcRule): Promise<URL> {
  if (jwksUri !== undefined) return new URL(jwksUri);
  const response = await fetch(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`, {
    signal: AbortSignal.timeout(ISSUER_TIMEOUT),
    redirect: "error",
  });
  if (!response.ok) throw new Error(`issuer "${issuer}" answers ${response.status} when asked for its configuration`);
  const { jwks_uri: uri } = (await response.json()) as { readonly jwks_uri?: unknown };
  if (typeof uri !== "string") throw new Error(`issuer "${issuer}" does not tell where its keys are`);
  return new URL(uri);
}

/** Refuses a token that was exchanged before. RFC 7519, section 4.1.7. */
async function rememberExchange(database: Database, { iss = "", jti, exp = 0 }: JWTPayload): Promise<void> {
  if (typeof jti !== "string") throw new Error("the token has no jti, and its rule takes each token once only");
  const key = exchangedKey(exp + CLOCK_TOLERANCE, hexOf(digestOf(Buffer.from(`${iss}\n${jti}`))));
  await forgetExchanges(database);
  await database.change((rows) => {
    if (rows.get(key) !== undefined) throw new Error("the token was exchanged before");
    rows.put(key, "");
  });
}

/** Forgets exchanges of tokens that are over by now. */
async function forgetExchanges(database: Database): Promise<void> {
  const over: string[] = [];
  const now = Date.now() / 1000;
  for await (const [key] of database.list("exchanged/")) {
    if (Number(key.split("/")[1]) >= now) break;
    over.push(key);
  }
  await database.change((rows) => {
    for (const key of over) rows.delete(key);
  });
}
