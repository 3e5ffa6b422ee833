import { readJson, sendToServer, ServerFailure } from "./transport.ts";

/** A token of an identity provider, three parts in base64url: RFC 7519. A server's own tokens have no points. */
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;
/** Stands for the OIDC token of the CI job that this process runs in. */
const OF_JOB = "oidc";
/** Milliseconds before its end at which a token is not used any more. */
const MARGIN = 60_000;

/**
 * Gives the token for requests to the server at `url`. An OIDC token is exchanged for one of the server when it is
 * first needed, and again before that ends: docs/protocol.md, "Tokens". `oidc` is the token of the GitHub job that
 * `environment` tells of, for the audience `url`.
 */
export function createTokenSource(
  url: string,
  token: string | undefined,
  environment: NodeJS.ProcessEnv = process.env,
): () => Promise<string | undefined> {
  if (token === undefined || (token !== OF_JOB && !JWT.test(token))) return async () => token;
  const subject = token === OF_JOB ? () => requestJobToken(url, environment) : async () => token;
  let exchanged: Promise<Exchanged> | undefined;
  return async () => {
    const current = await exchanged?.catch(() => undefined);
    if (current === undefined || Date.now() > current.until - MARGIN)
      exchanged = subject().then((jwt) => exchange(url, jwt));
    return (await exchanged)?.token;
  };
}

const REQUEST_LIMIT = 10_000;

interface Exchanged {
  readonly token: string;
  /** Milliseconds since 1970. */
  readonly until: number;
}

/** GitHub's documentation, "OpenID Connect reference", "Methods for requesting the OIDC token". */
async function requestJobToken(audience: string, environment: NodeJS.ProcessEnv): Promise<string> {
  const { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: token } = environment;
  if (url === undefined || token === undefined)
    throw new ServerFailure("Cannot ask GitHub for a token: this is no job that may", {
      hint: "Give the job the permission id-token: write",
    });
  const response = await fetch(`${url}&audience=${encodeURIComponent(audience)}`, {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(REQUEST_LIMIT),
  });
  const { value } = (response.ok ? await readJson(response) : {}) as { readonly value?: unknown };
  if (typeof value === "string") return value;
  throw new ServerFailure(`Cannot ask GitHub for a token: status ${response.status}`, { status: response.status });
}

async function exchange(url: string, subject: string): Promise<Exchanged> {
  const response = await sendToServer({ url, token: async () => undefined }, "/token", {
    method: "POST",
    json: {
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      subject_token: subject,
      subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
    },
  });
  const { access_token: token, expires_in: seconds } = (await readJson(response)) as Readonly<Record<string, unknown>>;
  return { token: String(token), until: Date.now() + Number(seconds) * 1000 };
}
