import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { expect, onTestFinished, test } from "vitest";
import { digestOf, sendContent } from "@varve/oci";
import { bytesOf, inChunks, inOneBuffer, randomBlob } from "@varve/oci/testing";

const run = promisify(execFile);
const { signal } = new AbortController();
const CHUNK = 64 * 1024;

async function listen(server: Server | NetServer, place: number | string = 0): Promise<string> {
  await new Promise<void>((resolve) => server.listen(place, resolve));
  onTestFinished(() => void server.close());
  const address = server.address() as AddressInfo | string;
  return typeof address === "string" ? "http://localhost/x" : `http://127.0.0.1:${address.port}/x`;
}

type Answer = (request: IncomingMessage, response: ServerResponse) => Promise<unknown>;

function serve(answer: Answer, place?: string): Promise<string> {
  const server = createHttpServer((request, response) => void answer(request, response));
  onTestFinished(() => server.closeAllConnections());
  return listen(server, place);
}

/** A server that speaks no more HTTP than `speak` does. */
function serveRaw(speak: (socket: Socket) => void): Promise<string> {
  const sockets: Socket[] = [];
  onTestFinished(() => sockets.forEach((socket) => void socket.destroy()));
  return listen(
    createServer((socket) => {
      sockets.push(socket.on("error", () => undefined));
      speak(socket);
    }),
  );
}

/** Counts the chunks that were asked for. */
async function* counted(bytes: Uint8Array, told: { count: number }): AsyncGenerator<Uint8Array> {
  for await (const chunk of inOneBuffer(bytes, CHUNK)) {
    told.count += 1;
    yield chunk;
  }
}

function put(url: string, content: AsyncIterable<Uint8Array>, more: object = {}): Promise<Response> {
  return sendContent(url, { method: "PUT", headers: {}, content, signal, ...more });
}

test.each([0, 1, CHUNK, 5_000_001])(
  "sendContent() sends %i bytes as they are, out of a buffer that is reused",
  async (size) => {
    const { bytes, descriptor } = randomBlob(size);
    const seen: { digest?: string; length?: string | undefined } = {};
    const url = await serve(async (request, response) => {
      seen.digest = digestOf(await bytesOf(request));
      seen.length = request.headers["content-length"];
      response.writeHead(201, { "x-place": "here" }).end("done");
    });
    const response = await put(url, inOneBuffer(bytes, CHUNK), { headers: { "content-length": String(size) } });
    expect(seen).toEqual({ digest: descriptor.digest, length: String(size) });
    expect([response.status, response.url, response.headers.get("x-place")]).toEqual([201, url, "here"]);
    expect(await response.text()).toBe("done");
  },
);

test("sendContent() reads no further ahead than the system takes", async () => {
  const { bytes, descriptor } = randomBlob(64 * 1024 * 1024);
  const released = Promise.withResolvers<void>();
  let digest = "";
  const url = await serve(async (request, response) => {
    await released.promise;
    digest = digestOf(await bytesOf(request));
    response.end();
  });
  const told = { count: 0 };
  const sending = put(url, counted(bytes, told), { headers: { "content-length": String(bytes.length) } });
  for (let before = -1; told.count === 0 || before < told.count; await setTimeout(100)) before = told.count;
  // The most that Linux keeps for a connection on both of its sides: net.ipv4.tcp_wmem and tcp_rmem.
  expect(told.count * CHUNK).toBeLessThan(16 * 1024 * 1024);
  released.resolve();
  await sending;
  expect(digest).toBe(descriptor.digest);
});

const REFUSAL = "HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig";

test.each([
  ["keeps the connection", (socket: Socket): void => void socket.pause().write(REFUSAL)],
  ["ends the connection", (socket: Socket): void => void socket.end(REFUSAL)],
  ["resets the connection", (socket: Socket): void => void socket.write(REFUSAL, () => socket.resetAndDestroy())],
])("sendContent() gives an answer that comes before all was sent, where the server %s", async (_, answer) => {
  const { bytes } = randomBlob(32 * 1024 * 1024);
  const url = await serveRaw((socket) => void socket.once("data", () => answer(socket)));
  const told = { count: 0 };
  const response = await put(url, counted(bytes, told));
  expect([response.status, await response.text()]).toEqual([413, "big"]);
  expect(told.count * CHUNK).toBeLessThan(bytes.length);
});

test.each([
  [416, 416],
  [201, "ECONNRESET"],
])("sendContent() makes of status %i whose body breaks off %s", async (status, outcome) => {
  const answer = `HTTP/1.1 ${status} X\r\ncontent-length: 100\r\n\r\nbig`;
  const url = await serveRaw((socket) => void socket.once("data", () => socket.end(answer)));
  const answered = put(url, inChunks(Buffer.alloc(10)));
  expect(
    await answered.then(
      (response) => response.status,
      (error: NodeJS.ErrnoException) => error.code,
    ),
  ).toBe(outcome);
});

test("sendContent() streams the body of a GET that succeeds, and ends it with the signal", async () => {
  const { bytes, descriptor } = randomBlob(20_000_000);
  const url = await serve(async (_, response) => response.end(bytes));
  const stop = new AbortController();
  const get = { method: "GET", headers: {}, signal: stop.signal };
  const whole = await sendContent(url, get);
  expect(digestOf(await bytesOf(whole.body as AsyncIterable<Uint8Array>))).toBe(descriptor.digest);
  const reading = bytesOf((await sendContent(url, get)).body as AsyncIterable<Uint8Array>);
  stop.abort(new Error("enough"));
  await expect(reading).rejects.toThrow();
});

test("sendContent() throws the error of a connection that is lost", async () => {
  const url = await serveRaw((socket) => void socket.once("data", () => socket.resetAndDestroy()));
  const { bytes } = randomBlob(32 * 1024 * 1024);
  await expect(put(url, inOneBuffer(bytes, CHUNK))).rejects.toMatchObject({
    code: expect.stringMatching(/ECONNRESET|EPIPE/) as string,
  });
});

test("sendContent() throws the error of a connection that can't be made", async () => {
  const url = await serveRaw(() => undefined);
  const gone = await listenAndClose();
  await expect(put(gone, inChunks(Buffer.alloc(10)))).rejects.toMatchObject({ code: "ECONNREFUSED" });
  await expect(
    put(url.replace("http:", "https:"), inChunks(Buffer.alloc(10)), { signal: AbortSignal.timeout(200) }),
  ).rejects.toMatchObject({ name: "TimeoutError" });
});

async function listenAndClose(): Promise<string> {
  const server = createServer();
  const url = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return url;
}

test("sendContent() throws the content's error, and the server sees no whole request", async () => {
  let whole: boolean | undefined;
  const url = await serve(async (request) => {
    whole = await bytesOf(request).then(
      () => true,
      () => false,
    );
  });
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield Buffer.alloc(1000);
    await setTimeout(20);
    throw new Error("damaged");
  }
  await expect(put(url, failing(), { headers: { "content-length": "2000" } })).rejects.toThrow("damaged");
  await expect.poll(() => whole).toBe(false);
});

test("sendContent() ends with the signal's reason, and ends the content", async () => {
  const url = await serveRaw((socket) => void socket.pause());
  const stop = new AbortController();
  let ended = false;
  async function* endless(): AsyncGenerator<Uint8Array> {
    try {
      for (let count = 0; ; count += 1) {
        if (count === 10) stop.abort(new Error("enough"));
        yield Buffer.alloc(CHUNK);
      }
    } finally {
      ended = true;
    }
  }
  await expect(put(url, endless(), { signal: stop.signal })).rejects.toThrow("enough");
  await expect.poll(() => ended).toBe(true);
  await expect(put(url, endless(), { signal: stop.signal })).rejects.toThrow("enough");
});

test("sendContent() trusts whom node trusts", async () => {
  const directory = temporaryDirectory();
  const [keyPath, certPath] = [join(directory, "key.pem"), join(directory, "cert.pem")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
  const files = ["-keyout", keyPath, "-out", certPath, "-days", "2"];
  execFileSync("openssl", ["req", "-x509", "-newkey", "ed25519", "-nodes", ...files, ...subject], { stdio: "ignore" });
  const [key, cert] = [readFileSync(keyPath), readFileSync(certPath, "utf8")];
  const { bytes, descriptor } = randomBlob(1_000_000);
  const server = createHttpsServer({ key, cert }, (request, response) => {
    void bytesOf(request).then((received) => response.end(digestOf(received)));
  });
  onTestFinished(() => server.closeAllConnections());
  const url = (await listen(server)).replace("http:", "https:");
  await expect(put(url, inOneBuffer(bytes, CHUNK))).rejects.toMatchObject({ code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
  const trusted = getCACertificates("default");
  onTestFinished(() => setDefaultCACertificates(trusted));
  setDefaultCACertificates([...trusted, cert]);
  expect(await (await put(url, inOneBuffer(bytes, CHUNK))).text()).toBe(descriptor.digest);
});

test("sendContent() goes by the proxy of the environment", async () => {
  const seen: string[] = [];
  const url = await serve(async (request, response) => {
    seen.push(`${request.method} ${request.url} ${(await bytesOf(request)).toString()}`);
    response.end("proxied");
  });
  const source = JSON.stringify(join(import.meta.dirname, "../src/send-content.ts"));
  const script = `import(${source}).then(async ({ sendContent }) => {
    async function* content() { yield Buffer.from("content"); }
    const request = { method: "PUT", headers: {}, content: content(), signal: new AbortController().signal };
    console.log(await (await sendContent("http://registry.invalid/x", request)).text());
  })`;
  const { origin } = new URL(url);
  const proxy = { NODE_USE_ENV_PROXY: "1", HTTP_PROXY: origin, http_proxy: origin, NO_PROXY: "", no_proxy: "" };
  const { stdout } = await run(process.execPath, ["-e", script], { env: { ...process.env, ...proxy } });
  expect(stdout).toBe("proxied\n");
  expect(seen).toEqual(["PUT http://registry.invalid/x content"]);
});

function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "varve-send-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
}

test("sendContent() does not follow a redirect, and speaks to unix sockets", async () => {
  const socketPath = join(temporaryDirectory(), "socket");
  const url = await serve(async (request, response) => {
    await bytesOf(request);
    response.writeHead(307, { location: "/y" }).end();
  }, socketPath);
  const response = await put(url, inChunks(Buffer.alloc(10)), { socketPath });
  expect([response.status, response.headers.get("location")]).toEqual([307, "/y"]);
});
