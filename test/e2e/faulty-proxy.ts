/** A proxy between a build and its cache that misbehaves. */
import { createServer, type Server, type Socket } from "node:net";
import { connect } from "node:net";
import type { AddressInfo } from "node:net";

/** What goes wrong; `none`: nothing. Of blobs only the bodies of answers are touched, never what is sent. */
export type Fault =
  | "none"
  /** Takes connections and never says a word. */
  | "hang"
  /** Answers everything with status 500. */
  | "status-500"
  /** Cuts answers off after some bytes, larger ones only. */
  | "truncate"
  /** Changes bytes in the middle of larger answers. */
  | "corrupt"
  /** Closes every connection as soon as it is used. */
  | "reset";

export interface FaultyProxy {
  readonly url: string;
  fault: Fault;
  /** Bytes that went to the server and came from it. */
  readonly bytes: { sent: number; received: number };
  stop(): Promise<void>;
}

/** Bytes of an answer that pass before it is cut or changed: more than any that is not a blob. */
const LARGE = 100_000;

/** Starts a proxy to the server at `url`. */
export async function startFaultyProxy(url: string): Promise<FaultyProxy> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((client) => {
    sockets.add(client);
    client.once("close", () => sockets.delete(client));
    client.on("error", () => undefined);
    serve(client, new URL(url), proxy);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const proxy: FaultyProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    fault: "none",
    bytes: { sent: 0, received: 0 },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  return proxy;
}

function serve(client: Socket, { hostname, port }: URL, proxy: FaultyProxy): void {
  if (proxy.fault === "hang") return void client.resume();
  if (proxy.fault === "reset") return void client.once("data", () => client.destroy());
  if (proxy.fault === "status-500")
    return void client.on("data", () =>
      client.end("HTTP/1.1 500 Broken\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
    );
  const upstream = connect(Number(port), hostname);
  let received = 0;
  upstream.on("error", () => client.destroy());
  upstream.on("close", () => client.destroy());
  client.on("close", () => upstream.destroy());
  client.on("data", (chunk) => {
    proxy.bytes.sent += chunk.length;
    received = 0;
    upstream.write(chunk);
  });
  upstream.on("data", (chunk) => {
    received += chunk.length;
    proxy.bytes.received += chunk.length;
    if (received > LARGE && proxy.fault === "truncate") return client.destroy();
    if (received > LARGE && proxy.fault === "corrupt")
      chunk[chunk.length >> 1] = (chunk[chunk.length >> 1] ?? 0) ^ 0xff;
    return client.write(chunk);
  });
}
