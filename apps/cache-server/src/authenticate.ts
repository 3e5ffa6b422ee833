import type { FastifyReply, FastifyRequest } from "fastify";
import { ServerError } from "./errors.ts";
import type { Server } from "./server.ts";
import type { Principal } from "./trust/principal.ts";
import { createRateLimit } from "./trust/rate-limit.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Who asks; set before any route with `/varve/v1` is run. */
    principal: Principal;
  }
  interface FastifyContextConfig {
    /** Needs no token. */
    readonly isPublic?: boolean;
  }
}

/** Failures of one address a second, and at once: guessing tokens is hopeless anyway, and costs little this way. */
const FAILURES = { rate: 5, burst: 50 };

const NOBODY: Principal = {
  name: "nobody",
  lane: undefined,
  readChain: [],
  actions: [],
  tokenId: undefined,
  expiresAt: undefined,
};

/** A hook that lets nobody in without a token, as far as the settings want one, or too often. */
export function createAuthenticate({
  settings,
  tokens,
}: Pick<Server, "settings" | "tokens">): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
  const limit = createRateLimit(settings);
  const failures = createRateLimit(FAILURES);
  const anonymous = anonymousPrincipal(settings.anonymous);
  return async (request, reply) => {
    request.principal = request.routeOptions.config.isPublic === true ? NOBODY : await identify(request);
    const caller = request.principal.tokenId ?? request.ip;
    const wait = limit.take(caller);
    if (wait > 0) throw tooMany(reply, wait);
  };

  async function identify(request: FastifyRequest): Promise<Principal> {
    const { authorization } = request.headers;
    if (authorization === undefined) {
      if (anonymous !== undefined) return anonymous;
      throw new ServerError("TOKEN_INVALID", "Cannot use the cache without a token", {
        hint: "Set VARVE_CACHE_TOKEN; varve-cache token create makes one",
      });
    }
    try {
      return tokens.authenticate(/^Bearer +(\S+)$/i.exec(authorization)?.[1] ?? "");
    } catch (error) {
      const wait = failures.take(request.ip);
      if (wait > 0)
        throw new ServerError("RATE_LIMITED", "Cannot try more tokens: too many were wrong", { cause: error });
      throw error;
    }
  }
}

/** Refuses for now, and tells in how many seconds not to. RFC 9110, section 10.2.3. */
function tooMany(reply: FastifyReply, wait: number): ServerError {
  void reply.header("retry-after", Math.ceil(wait / 1000));
  return new ServerError("RATE_LIMITED", `Cannot answer so many requests: come again in ${wait} ms`);
}

/** Who comes without a token: undefined where nobody may. */
function anonymousPrincipal(anonymous: Server["settings"]["anonymous"]): Principal | undefined {
  const common = { ...NOBODY, name: "anonymous", readChain: ["main"] };
  switch (anonymous) {
    case "none":
      return undefined;
    case "read":
      return common;
    case "write":
      return { ...common, lane: "main", actions: ["write", "replace"] };
    default:
      return anonymous satisfies never;
  }
}
