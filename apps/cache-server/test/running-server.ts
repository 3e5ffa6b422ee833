/** A server on loopback for tests, and what they say to it. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CacheRecord, PROTOCOL_PATH, type RecordLayer, type SignedRecord } from "@varve/cache";
import { type Digest, digestOf } from "@varve/oci";
import { readSettings } from "../src/settings.ts";
import { type RunningServer, startServer } from "../src/start-server.ts";
import { defaultReadChain } from "../src/trust/lanes.ts";
import type { Action } from "../src/trust/principal.ts";
import { openTokens } from "../src/trust/tokens.ts";

export interface TestServer extends RunningServer, AsyncDisposable {
  readonly data: string;
  /** A client with a token for this lane; undefined for one that only reads main. */
  client(lane: string | undefined, options?: ClientOptions): Promise<Client>;
  /** A client without a token. */
  readonly stranger: Client;
}

export interface ClientOptions {
  readonly name?: string;
  readonly read?: readonly string[];
  readonly actions?: readonly Action[];
  readonly lifetime?: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  // oxlint-disable-next-line typescript/no-explicit-any -- what a test expects of it is what it checks.
  readonly body: any;
}

export interface Client {
  readonly token: string | undefined;
  send(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  /** Stores a blob, whole. */
  push(bytes: Uint8Array): Promise<Digest>;
  /** Stores a record with two new blobs. */
  put(name: string, content?: string): Promise<CacheRecord>;
}

/** A server with these settings beside the tests' own: a free port, a directory of its own, no log. */
export async function startTestServer(settings: Readonly<Record<string, unknown>> = {}): Promise<TestServer> {
  const data = typeof settings["data"] === "string" ? settings["data"] : mkdtempSync(join(tmpdir(), "varve-cache-"));
  const flags = { port: 0, logLevel: "silent", minFree: 0, ...settings, data };
  const server = await startServer(readSettings({ file: undefined, env: {}, flags }));
  let isStopped = false;
  const stop = async (): Promise<void> => {
    if (!isStopped) await server.stop();
    isStopped = true;
  };
  return {
    ...server,
    stop,
    data,
    stranger: createClient(server.url, undefined),
    client: async (lane, options) => createClient(server.url, await createTestToken(data, lane, options)),
    async [Symbol.asyncDispose]() {
      await stop();
      if (settings["data"] === undefined) rmSync(data, { recursive: true, force: true });
    },
  };
}

/** A token of the server that keeps its things in `data`. */
export async function createTestToken(
  data: string,
  lane: string | undefined,
  options: ClientOptions = {},
): Promise<string> {
  const { token } = await openTokens(join(data, "tokens")).create({
    principal: options.name ?? lane ?? "reader",
    lane,
    readChain: options.read ?? defaultReadChain(lane ?? "main"),
    actions: options.actions ?? (lane === undefined ? [] : ["write"]),
    lifetime: options.lifetime,
    source: "command",
  });
  return token;
}

/** A client of the server at `url`. */
export function createClient(url: string, token: string | undefined): Client {
  const send: Client["send"] = async (method, path, body, headers = {}) => {
    const isBytes = body instanceof Uint8Array;
    const type = isBytes ? "application/octet-stream" : "application/json";
    const response = await fetch(`${url}${path.startsWith("//") ? path.slice(1) : PROTOCOL_PATH + path}`, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "content-type": type }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: isBytes ? Buffer.from(body) : JSON.stringify(body) }),
    });
    const bytes = Buffer.from(await response.arrayBuffer());
    const isJson = response.headers.get("content-type")?.includes("json") === true && bytes.length > 0;
    return {
      status: response.status,
      headers: response.headers,
      bytes,
      body: isJson ? JSON.parse(bytes.toString()) : undefined,
    };
  };
  const push = async (bytes: Uint8Array): Promise<Digest> => {
    const digest = digestOf(bytes);
    const { status, body } = await send("PUT", `/blobs/${digest}`, bytes);
    if (status !== 200 && status !== 201) throw new Error(`push: ${status} ${JSON.stringify(body)}`);
    return digest;
  };
  return {
    token,
    send,
    push,
    async put(name, content = randomBytes(8).toString("hex")) {
      const record = makeRecord(name, content);
      await push(layerBytes(content));
      await push(indexBytes(content));
      const { status, body } = await send("PUT", `/records/${record.key}`, record);
      if (status !== 201) throw new Error(`put: ${status} ${JSON.stringify(body)}`);
      return record;
    },
  };
}

/** The bytes of a layer with this content. */
export function layerBytes(content: string): Buffer {
  return Buffer.from(`layer ${content}`.repeat(20));
}

/** The bytes of that layer's index. */
export function indexBytes(content: string): Buffer {
  return Buffer.from(`index ${content}`);
}

/** A record whose blobs are `layerBytes` and `indexBytes`. */
export function makeRecord(name: string, content: string): CacheRecord & { readonly layer: RecordLayer } {
  return {
    key: keyOf(name),
    layer: {
      descriptor: describeBytes("application/vnd.oci.image.layer.v1.tar+gzip", layerBytes(content)),
      diffId: digestOf(Buffer.from(`diff ${content}`)),
      contentDigest: digestOf(Buffer.from(`content ${content}`)),
      index: describeBytes("application/vnd.varve.layer-index.v1", indexBytes(content)),
    },
    ingredients: { "definition.kind": "run", "definition.args": JSON.stringify(["/bin/sh", "-c", `make ${name}`]) },
    createdAt: "2026-01-01T00:00:00.000Z",
    duration: 1234,
    producer: "test",
  };
}

function describeBytes(mediaType: string, bytes: Uint8Array): RecordLayer["descriptor"] {
  return { mediaType, digest: digestOf(bytes), size: bytes.length };
}

/** The cache key that a record of this name has. */
export function keyOf(name: string): Digest {
  return digestOf(Buffer.from(`key ${name}`));
}

/** The signed record that an answer holds. */
export function signedOf(answer: Answer): SignedRecord {
  return answer.body as SignedRecord;
}
