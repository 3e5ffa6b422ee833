import type { ServerResponse } from "node:http";
import { createServer } from "node:net";
import { copyImage, createMemoryStore, digestOf, MEDIA_TYPES, parseReference, readContent } from "@varve/oci";
import { bytesOf, descriptorOf, inChunks, randomBlob, randomImage } from "@varve/oci/testing";
import { expect, test } from "vitest";
import { sendRequest } from "../src/http.ts";
import { openRepository, RegistryError, type Repository } from "../src/index.ts";
import { useCredentials } from "./config-directory.ts";
import { type Answer, type FakeServer, reply, startFakeServer } from "./fake-server.ts";

const { bytes: BLOB, descriptor: DESCRIPTOR } = randomBlob(300_000);

async function start(answer: Answer): Promise<{ readonly server: FakeServer; readonly repository: Repository }> {
  useCredentials(undefined);
  const server = await startFakeServer(answer);
  return { server, repository: openRepository(parseReference(`${server.host}/c/d`)) };
}

/** Sends a body of which only the first `length` bytes arrive. */
function breakOff(response: ServerResponse, body: Buffer, length: number, status = 200, headers = {}): void {
  response.writeHead(status, { "content-length": String(body.length), ...headers });
  response.write(body.subarray(0, length), () => setTimeout(() => response.destroy(), 20));
}

test("a body that breaks off is taken up by Range where it did", async () => {
  const { server, repository } = await start(({ headers }, response, count) => {
    const from = Number(/^bytes=(\d+)-$/.exec(headers.range ?? "bytes=0-")?.[1]);
    const range = { "content-range": `bytes ${from}-${BLOB.length - 1}/${BLOB.length}` };
    if (count === 3) return reply(response, 206, { body: BLOB.subarray(from), headers: range });
    return breakOff(response, BLOB.subarray(from), 80_000, count === 0 ? 200 : 206, range);
  });
  expect((await bytesOf(repository.fetch(DESCRIPTOR))).equals(BLOB)).toBe(true);
  const ranges = server.seen.map(({ headers }) => headers.range);
  expect(ranges).toHaveLength(4);
  expect(ranges[0]).toBeUndefined();
  expect(ranges.slice(1).every((range) => /^bytes=[1-9]\d+-$/.test(range ?? ""))).toBe(true);
  expect(server.seen[0]?.headers["accept-encoding"]).toBe("identity");
});

test("a registry that knows no ranges sends all again, of which the new part is used", async () => {
  const { repository } = await start((_, response, count) =>
    count === 0 ? breakOff(response, BLOB, 100_000) : reply(response, 200, { body: BLOB }),
  );
  expect((await bytesOf(repository.fetch(DESCRIPTOR))).equals(BLOB)).toBe(true);
});

test("a body that ends early without an error is taken up too", async () => {
  const { server, repository } = await start((_, response, count) => {
    if (count > 0) return reply(response, 200, { body: BLOB });
    response.writeHead(200, { connection: "close" });
    return void response.end(BLOB.subarray(0, 1000));
  });
  expect((await bytesOf(repository.fetch(DESCRIPTOR))).equals(BLOB)).toBe(true);
  expect(server.seen).toHaveLength(2);
});

test("a body that breaks off again and again without a byte is given up, and says how far it came", async () => {
  const { server, repository } = await start((_, response, count) =>
    breakOff(response, BLOB, count === 0 ? 1000 : 500),
  );
  await expect(bytesOf(repository.fetch(DESCRIPTOR))).rejects.toMatchObject({
    code: "UNREACHABLE",
    retryable: true,
    message: expect.stringContaining("after 1000 of 300000 bytes") as string,
  });
  expect(server.seen.length).toBeLessThanOrEqual(6);
});

test.each([
  ["other bytes", (): Buffer => randomBlob(BLOB.length).bytes, "DIGEST_MISMATCH"],
  ["more bytes", (): Buffer => Buffer.concat([BLOB, BLOB]), "SIZE_INVALID"],
])("a body of %s ends in %s", async (_, body, code) => {
  const { repository } = await start((__, response) => reply(response, 200, { body: body() }));
  await expect(bytesOf(repository.fetch(DESCRIPTOR))).rejects.toMatchObject({ code });
});

test("an answer to a range with another range is refused", async () => {
  const { repository } = await start((_, response, count) =>
    count === 0
      ? breakOff(response, BLOB, 1000)
      : reply(response, 206, { body: BLOB, headers: { "content-range": `bytes 0-${BLOB.length - 1}/${BLOB.length}` } }),
  );
  await expect(bytesOf(repository.fetch(DESCRIPTOR))).rejects.toMatchObject({ code: "PROTOCOL" });
});

test("a content encoding that the registry adds is undone", async () => {
  const manifest = Buffer.from("{}");
  const { repository } = await start((_, response) => reply(response, 200, { body: manifest }));
  expect(await readContent(repository, descriptorOf(manifest))).toEqual(manifest);
});

test.each([408, 429, 500, 502, 503, 504])("status %i is tried again", async (status) => {
  const { server, repository } = await start((_, response, count) =>
    count < 2 ? reply(response, status, { headers: { "retry-after": "0" } }) : reply(response, 200),
  );
  expect(await repository.exists(DESCRIPTOR)).toBe(true);
  expect(server.seen).toHaveLength(3);
});

test("a status that passes is given up after five tries, and called what it is", async () => {
  const { server, repository } = await start((_, response) =>
    reply(response, 503, {
      headers: { "retry-after": "0" },
      body: { errors: [{ code: "UNAVAILABLE", message: "moving" }] },
    }),
  );
  await expect(bytesOf(repository.fetch(DESCRIPTOR))).rejects.toMatchObject({
    code: "UNAVAILABLE",
    status: 503,
    retryable: true,
    message: expect.stringContaining("the registry answered 503: UNAVAILABLE moving") as string,
  });
  expect(server.seen).toHaveLength(5);
});

test("a Retry-After that is too long to wait for ends in TOOMANYREQUESTS at once", async () => {
  const { server, repository } = await start((_, response) =>
    reply(response, 429, { headers: { "retry-after": "3600" } }),
  );
  await expect(repository.resolve("x")).rejects.toMatchObject({ code: "TOOMANYREQUESTS", status: 429 });
  expect(server.seen.map(({ method }) => method)).toEqual(["HEAD", "GET"]);
});

const BLOB_UNSEEN = [
  { code: "DIGEST_INVALID", message: "provided digest did not match uploaded content" },
  { code: "MANIFEST_BLOB_UNKNOWN", message: "blob unknown to registry" },
];

function pushManifest(repository: Repository): Promise<void> {
  const manifest = Buffer.from("{}");
  return repository.push({ ...descriptorOf(manifest), mediaType: MEDIA_TYPES.manifest }, inChunks(manifest));
}

test("a manifest whose blobs the registry does not see yet is sent again", async () => {
  const { server, repository } = await start((_, response, count) =>
    count === 0 ? reply(response, 400, { body: { errors: BLOB_UNSEEN } }) : reply(response, 201),
  );
  await pushManifest(repository);
  expect(server.seen.map(({ method }) => method)).toEqual(["PUT", "PUT"]);
});

test("a manifest whose blobs the registry never sees is given up after three times", async () => {
  const { server, repository } = await start((_, response) => reply(response, 400, { body: { errors: BLOB_UNSEEN } }));
  await expect(pushManifest(repository)).rejects.toMatchObject({ code: "MANIFEST_BLOB_UNKNOWN", retryable: false });
  expect(server.seen).toHaveLength(3);
});

test("a connection that is reset is made again", async () => {
  const { server, repository } = await start((_, response, count) =>
    count < 2 ? void response.destroy() : reply(response, 200),
  );
  expect(await repository.exists(DESCRIPTOR)).toBe(true);
  expect(server.seen).toHaveLength(3);
});

test("a registry that refuses connections is given up soon", async () => {
  const { server, repository } = await start((_, response) => reply(response, 200));
  await server.close();
  const started = performance.now();
  await expect(repository.exists(DESCRIPTOR)).rejects.toMatchObject({
    code: "UNREACHABLE",
    message: `Cannot reach "${server.host}": ECONNREFUSED`,
    retryable: true,
  });
  expect(performance.now() - started).toBeLessThan(4000);
});

test("a registry that speaks no TLS is told apart, with what to do", async () => {
  useCredentials(undefined);
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { readonly port: number };
  try {
    await expect(sendRequest(`https://127.0.0.1:${port}/v2/?secret=1`, {})).rejects.toMatchObject({
      code: "TLS_FAILED",
      retryable: false,
      url: `https://127.0.0.1:${port}/v2/`,
      hint: `If it speaks http, set VARVE_INSECURE_REGISTRIES=127.0.0.1:${port}`,
    });
  } finally {
    server.close();
  }
});

test("a redirect to another host is followed without the authorization, one to the same host with it", async () => {
  const other = await startFakeServer((_, response) => reply(response, 200, { body: BLOB }));
  const { server } = await start(({ path, headers }, response) => {
    if (headers.authorization === undefined)
      return reply(response, 401, { headers: { "www-authenticate": "Basic realm=x" } });
    if (path.startsWith("/moved"))
      return reply(response, 307, { headers: { location: `http://${other.host}/blob?sig=1` } });
    return reply(response, 307, { headers: { location: "/moved" } });
  });
  useCredentials({ auths: { [server.host]: { username: "u", password: "p" } } });
  const repository = openRepository(parseReference(`${server.host}/c/d`));
  expect((await bytesOf(repository.fetch(DESCRIPTOR))).equals(BLOB)).toBe(true);
  expect(server.seen.map(({ headers }) => headers.authorization !== undefined)).toEqual([false, true, true]);
  expect(other.seen.map(({ path, headers }) => [path, headers.authorization])).toEqual([["/blob?sig=1", undefined]]);
});

test("a place to redirect to that asks who is there is told nothing", async () => {
  const other = await startFakeServer((_, response) =>
    reply(response, 401, { headers: { "www-authenticate": 'Bearer realm="http://127.0.0.1:9/token"' } }),
  );
  const { server } = await start((_, response) =>
    reply(response, 307, { headers: { location: `http://${other.host}/` } }),
  );
  useCredentials({ auths: { [server.host]: { username: "u", password: "p" } } });
  const repository = openRepository(parseReference(`${server.host}/c/d`));
  await expect(bytesOf(repository.fetch(DESCRIPTOR))).rejects.toMatchObject({ code: "UNAUTHORIZED", status: 401 });
  expect(other.seen).toHaveLength(1);
});

test("redirects in a circle come to an end", async () => {
  const { server, repository } = await start((_, response) =>
    reply(response, 302, { headers: { location: "/again" } }),
  );
  await expect(repository.exists(DESCRIPTOR)).rejects.toMatchObject({ code: "PROTOCOL" });
  expect(server.seen).toHaveLength(11);
});

test.each([
  [404, "NAME_UNKNOWN", { errors: [{ code: "NAME_UNKNOWN", message: "no such repository" }] }],
  [404, "BLOB_UNKNOWN", "<html>"],
  [403, "DENIED", { errors: [{ code: "UNAUTHORIZED" }] }],
  [405, "UNSUPPORTED", ""],
  [418, "PROTOCOL", ""],
  [400, "DIGEST_INVALID", { errors: [{ code: "DIGEST_INVALID", message: "\u001B[31mred" }] }],
])("an answer %i becomes %s", async (status, code, body) => {
  const { server, repository } = await start((_, response) => reply(response, status, { body }));
  const error: unknown = await bytesOf(repository.fetch(DESCRIPTOR)).catch((each: unknown) => each);
  expect(error).toBeInstanceOf(RegistryError);
  expect(error).toMatchObject({
    code,
    status,
    retryable: false,
    url: `http://${server.host}/v2/c/d/blobs/${DESCRIPTOR.digest}`,
  });
  expect(String(error)).not.toContain("\u001B");
});

test("an upload goes to the place that the registry named, with its length, in one piece", async () => {
  const place = await startFakeServer((_, response) => reply(response, 201));
  const { server, repository } = await start((_, response) =>
    reply(response, 202, { headers: { location: `http://${place.host}/upload?session=a%2Fb` } }),
  );
  await repository.push(DESCRIPTOR, inChunks(BLOB, 10_000));
  expect(server.seen).toMatchObject([{ method: "POST", path: "/v2/c/d/blobs/uploads/" }]);
  const [put] = place.seen;
  expect(put).toMatchObject({ method: "PUT", headers: { "content-length": String(BLOB.length) } });
  expect(put?.headers["transfer-encoding"]).toBeUndefined();
  expect(new URL(put?.path ?? "", "http://x").searchParams.get("digest")).toBe(DESCRIPTOR.digest);
  expect(new URL(put?.path ?? "", "http://x").searchParams.get("session")).toBe("a/b");
  expect(digestOf(Buffer.from(put?.body ?? "", "latin1"))).toBe(DESCRIPTOR.digest);
});

test("an upload that the registry drops is begun again by copyImage()", async () => {
  const { server, repository } = await start(({ method }, response, count) => {
    if (method === "HEAD") return reply(response, 404);
    if (method === "POST") return reply(response, 202, { headers: { location: "/v2/c/d/blobs/uploads/1" } });
    return count === 0 ? void response.destroy() : reply(response, 201);
  });
  const source = createMemoryStore();
  await source.push(DESCRIPTOR, inChunks(BLOB));
  await copyImage(source, repository, { descriptor: DESCRIPTOR });
  expect(server.seen.map(({ method }) => method)).toEqual(["HEAD", "POST", "PUT", "POST", "PUT"]);
});

test("what a push asks and what it sends go over the same connection", async () => {
  const { server, repository } = await start(({ method }, response) => {
    if (method === "HEAD") return reply(response, 404);
    if (method === "POST") return reply(response, 202, { headers: { location: "/v2/c/d/blobs/uploads/1" } });
    return reply(response, 201);
  });
  const source = createMemoryStore();
  await source.push(DESCRIPTOR, inChunks(BLOB));
  await copyImage(source, repository, { descriptor: DESCRIPTOR });
  await pushManifest(repository);
  expect(server.seen.map(({ method }) => method)).toEqual(["HEAD", "POST", "PUT", "PUT"]);
  expect(server.seen[1]?.headers["content-length"]).toBe("0");
  expect(new Set(server.seen.map(({ port }) => port)).size).toBe(1);
});

test("an upload that is redirected is not sent elsewhere, not even within the registry", async () => {
  const { server, repository } = await start(({ method }, response) =>
    method === "POST"
      ? reply(response, 202, { headers: { location: "/v2/c/d/blobs/uploads/1" } })
      : reply(response, 307, { headers: { location: "/v2/c/d/blobs/uploads/2" } }),
  );
  await expect(repository.push(DESCRIPTOR, inChunks(BLOB))).rejects.toMatchObject({ code: "PROTOCOL", status: 307 });
  expect(server.seen.map(({ method }) => method)).toEqual(["POST", "PUT"]);
});

test("a manifest that gets a tag is sent once, under the tag", async () => {
  const source = createMemoryStore();
  const image = await randomImage(source);
  const { server, repository } = await start(({ method }, response) => reply(response, method === "HEAD" ? 200 : 201));
  await copyImage(source, repository, { descriptor: image, tag: "new" });
  expect(server.seen.map(({ method }) => method)).toEqual(["HEAD", "HEAD", "HEAD", "PUT"]);
  expect(server.seen.at(-1)).toMatchObject({
    path: "/v2/c/d/manifests/new",
    headers: { "content-type": image.mediaType },
    body: (await readContent(source, image)).toString("latin1"),
  });
});

test("a mount that the registry does not grant leaves an upload, which the push uses", async () => {
  const { server, repository } = await start(({ method }, response) => {
    if (method === "POST") return reply(response, 202, { headers: { location: "/v2/c/d/blobs/uploads/7" } });
    return reply(response, 201);
  });
  expect(await repository.mount(DESCRIPTOR, "other")).toBe(false);
  await repository.push(DESCRIPTOR, inChunks(BLOB));
  expect(server.seen.map(({ method }) => method)).toEqual(["POST", "PUT"]);
  expect(server.seen[1]?.path).toContain("/uploads/7?digest=");
});

test("an answer to an upload without a place is refused", async () => {
  const { repository } = await start((_, response) => reply(response, 202));
  await expect(repository.push(DESCRIPTOR, inChunks(BLOB))).rejects.toMatchObject({ code: "PROTOCOL" });
});

test("a manifest is resolved by GET where HEAD does not say enough", async () => {
  const source = createMemoryStore();
  const image = await randomImage(source);
  const bytes = await readContent(source, image);
  const { server, repository } = await start(({ method }, response) =>
    method === "HEAD"
      ? reply(response, 405)
      : reply(response, 200, { body: bytes, headers: { "content-type": "text/plain" } }),
  );
  expect(await repository.resolve("latest")).toEqual({
    mediaType: MEDIA_TYPES.manifest,
    digest: image.digest,
    size: bytes.length,
  });
  expect(server.seen[1]?.headers.accept).toContain(MEDIA_TYPES.index);
});

test("a manifest of another digest than was asked for is refused", async () => {
  const { repository } = await start((_, response) => reply(response, 200, { body: "{}" }));
  await expect(repository.resolve(DESCRIPTOR.digest)).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
});

test("a manifest that never ends is not read to its end", async () => {
  const { repository } = await start(({ method }, response) =>
    method === "HEAD" ? reply(response, 200) : reply(response, 200, { body: Buffer.alloc(5 * 1024 * 1024) }),
  );
  await expect(repository.resolve("latest")).rejects.toMatchObject({ code: "SIZE_INVALID" });
});

test("at most four blobs of a host are fetched at once", async () => {
  let running = 0;
  let most = 0;
  const { repository } = await start((_, response) => {
    running += 1;
    most = Math.max(most, running);
    setTimeout(() => {
      running -= 1;
      reply(response, 200, { body: BLOB });
    }, 20);
  });
  await Promise.all(Array.from({ length: 12 }, () => bytesOf(repository.fetch(DESCRIPTOR))));
  expect(most).toBe(4);
});

test("fetches that are left or aborted give their places back", async () => {
  const { repository } = await start((_, response) => {
    response.writeHead(200, { "content-length": String(BLOB.length) });
    response.write(BLOB.subarray(0, 1000));
  });
  for (let time = 0; time < 6; time += 1) {
    const stop = new AbortController();
    const reading = (async (): Promise<void> => {
      for await (const _ of repository.fetch(DESCRIPTOR, { signal: stop.signal })) {
        if (time % 2 === 0) break;
        stop.abort(new Error("enough"));
      }
    })();
    if (time % 2 === 0) await reading;
    else await expect(reading).rejects.toThrow("enough");
  }
});

test("tags() follows the pages of a list", async () => {
  const { server, repository } = await start(({ path }, response) =>
    path.includes("last=b")
      ? reply(response, 200, { body: { name: "c/d", tags: ["c"] } })
      : reply(response, 200, {
          body: { name: "c/d", tags: ["a", "b"] },
          headers: { link: '</v2/c/d/tags/list?last=b&n=2>; rel="next"' },
        }),
  );
  expect(await repository.tags()).toEqual(["a", "b", "c"]);
  expect(server.seen).toHaveLength(2);
});

test("a signal ends the waits between tries", async () => {
  const { repository } = await start((_, response) => reply(response, 503, { headers: { "retry-after": "10" } }));
  const signal = AbortSignal.timeout(100);
  const started = performance.now();
  await expect(repository.exists(DESCRIPTOR, { signal })).rejects.toMatchObject({ name: "TimeoutError" });
  expect(performance.now() - started).toBeLessThan(5000);
});
