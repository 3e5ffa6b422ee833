/** A small OIDC issuer on loopback: its configuration, its keys, and tokens that it signs. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, SignJWT } from "jose";

export interface Issuer extends AsyncDisposable {
  readonly url: string;
  /** The public key in PEM, which an attacker also has. */
  readonly publicKey: Uint8Array;
  /** A token with these claims, valid for five minutes where they say nothing else. */
  sign(claims: Readonly<Record<string, unknown>>): Promise<string>;
}

/** An issuer with one key of its own. */
export async function startIssuer(): Promise<Issuer> {
  const { publicKey, privateKey } = await generateKeyPair("RS256");
  const jwk = { ...(await exportJWK(publicKey)), kid: "one", alg: "RS256", use: "sig" };
  const server = createServer((request, response) => {
    const body =
      request.url === "/.well-known/openid-configuration" ? { issuer: url, jwks_uri: `${url}/keys` } : { keys: [jwk] };
    response.setHeader("content-type", "application/json").end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    publicKey: new TextEncoder().encode(JSON.stringify(jwk)),
    sign: (claims) => {
      const now = Math.floor(Date.now() / 1000);
      return new SignJWT({ iss: url, sub: "someone", iat: now, exp: now + 300, ...claims })
        .setProtectedHeader({ alg: "RS256", kid: "one" })
        .sign(privateKey);
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
