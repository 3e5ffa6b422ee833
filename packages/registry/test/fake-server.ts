import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

/** A request as it arrived. */
export interface SeenRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  /** The client's side of the connection. */
  readonly port: number | undefined;
}

export interface FakeServer {
  /** `127.0.0.1:port`. */
  readonly host: string;
  readonly seen: readonly SeenRequest[];
  close(): Promise<void>;
}

/** Answers a request; `count` is how many of the same method and path came before. */
export type Answer = (request: SeenRequest, response: ServerResponse, count: number) => void;

/** A server whose answers the test writes; it ends with the test. */
export async function startFakeServer(answer: Answer): Promise<FakeServer> {
  const seen: SeenRequest[] = [];
  const server = createServer((request, response) => {
    void take(request, response);
  });
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const each = await receive(request);
    const count = seen.filter(({ method, path }) => method === each.method && path === each.path).length;
    seen.push(each);
    answer(each, response, count);
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = (): Promise<void> => closeServer(server);
  onTestFinished(close);
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, seen, close };
}

async function receive(request: IncomingMessage): Promise<SeenRequest> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
  } catch {
    // The client gave up: what came is what is seen.
  }
  const body = Buffer.concat(chunks).toString("latin1");
  const { method = "", url: path = "", headers } = request;
  return { method, path, headers, body, port: request.socket.remotePort };
}

function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}

/** Answers with a status, and a body or JSON. */
export function reply(
  response: ServerResponse,
  status: number,
  { headers = {}, body = "" }: { readonly headers?: Record<string, string>; readonly body?: string | object } = {},
): void {
  const bytes = typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
  response.writeHead(status, { "content-length": String(Buffer.byteLength(bytes)), ...headers });
  response.end(bytes);
}
