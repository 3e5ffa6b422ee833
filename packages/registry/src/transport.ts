import { answerError, type Question } from "./answer-error.ts";
import { type Authorizer, createAuthorizer } from "./authorizer.ts";
import type { RegistryError } from "./errors.ts";
import { type HttpRequest, isContent, isElsewhere, readText, sendRequest } from "./http.ts";

/** A request to a repository: to a path below its own, or to a URL that the registry gave. */
export interface RepositoryRequest extends HttpRequest {
  readonly scopes: readonly string[];
}

/** Speaks to one repository of one registry, as who this machine's user is there. */
export interface Transport {
  /** `https://host/v2/name`. */
  readonly base: string;
  /** Host with port, as its limits are kept. */
  readonly host: string;
  /**
   * Sends a request and logs in where that is asked for. The answer may be of any status.
   * @throws all that `sendRequest` throws; RegistryError `UNAUTHORIZED`.
   */
  send(pathOrUrl: string, request: RepositoryRequest): Promise<Response>;
  /** The error for an answer that is not a success. */
  errorOf(response: Response, question: Question): Promise<RegistryError>;
}

export interface TransportOptions {
  /** The registry's name, for credentials and messages. */
  readonly registry: string;
  readonly repository: string;
  readonly base: string;
  /** At most so many tries of each request; left out: as the fault is worth. */
  readonly tries?: number;
}

export function createTransport({ registry, repository, base, tries }: TransportOptions): Transport {
  const { origin, host } = new URL(base);
  const authorizer = createAuthorizer({ registry, repository, origin });
  const limits = tries === undefined ? {} : { tries };
  return {
    base,
    host,
    send: (pathOrUrl, request) =>
      sendAuthorized(
        pathOrUrl.startsWith("/") ? `${base}${pathOrUrl}` : pathOrUrl,
        { ...limits, ...request },
        { base, authorizer },
      ),
    async errorOf(response, question) {
      if (response.status !== 401 || isElsewhere(base, response.url)) return answerError(response, question);
      await readText(response);
      return authorizer.refusal(response.status);
    },
  };
}

interface Registry {
  readonly base: string;
  readonly authorizer: Authorizer;
}

async function sendAuthorized(url: string, request: RepositoryRequest, registry: Registry): Promise<Response> {
  const { scopes, ...rest } = request;
  // A registry may hand out places on other hosts, which have their own ways to know who may use them.
  if (isElsewhere(registry.base, url)) return sendRequest(url, rest);
  const { authorizer, base } = registry;
  const header = await authorizer.authorize(scopes);
  const response = await sendRequest(url, withHeader(rest, header));
  if (response.status !== 401 || isElsewhere(base, response.url) || isContent(rest.body)) return response;
  if (!(await authorizer.learn(response, scopes, header))) return response;
  await readText(response);
  return sendRequest(url, withHeader(rest, await authorizer.authorize(scopes)));
}

function withHeader(request: HttpRequest, authorization: string | undefined): HttpRequest {
  return authorization === undefined ? request : { ...request, headers: { ...request.headers, authorization } };
}
