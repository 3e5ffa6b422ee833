import { readJson, sendToServer } from "./transport.ts";

/** A token of an identity provider, three parts in base64url: RFC 7519. A server's own tokens have no points. */
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;
/** Milliseconds before its end at which a token is not used any more. */
const MARGIN = 60_000;

/**
 * Gives the token for requests to the server at `url`. An OIDC token is exchanged for one of the server when it is
 * first needed, and again before that ends: docs/protocol.md, "Tokens".
 */
export function createTokenSource(url: string, token: string | undefined): () => Promise<string | undefined> {
  if (token === undefined || !JWT.test(token)) return async () => token;
  let exchanged: Promise<Exchanged> | undefined;
  return async () => {
    const current = await exchanged?.catch(() => undefined);
    if (current === undefined || Date.now() > current.until - MARGIN) exchanged = exchange(url, token);
    return (await exchanged)?.token;
  };
}

interface Exchanged {
  readonly token: string;
  /** Milliseconds since 1970. */
  readonly until: number;
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
