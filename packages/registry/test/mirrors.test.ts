import { parseReference } from "@varve/oci";
import { bytesOf, inChunks, randomBlob } from "@varve/oci/testing";
import { expect, test } from "vitest";
import { openRepository } from "../src/index.ts";
import { useCredentials } from "./config-directory.ts";
import { type Answer, reply, startFakeServer } from "./fake-server.ts";

const { bytes: BLOB, descriptor: DESCRIPTOR } = randomBlob(10_000);
const HEAD = { "docker-content-digest": DESCRIPTOR.digest, "content-type": "application/vnd.oci.image.index.v1+json" };

const whole: Answer = ({ method }, response) =>
  method === "HEAD"
    ? reply(response, 200, { headers: { ...HEAD, "content-length": "5" } })
    : reply(response, 200, { body: BLOB });

async function start(mirror: Answer, registry: Answer = whole) {
  useCredentials(undefined);
  const [first, second] = [await startFakeServer(mirror), await startFakeServer(registry)];
  const mirrors = { [second.host]: [`http://${first.host}/proxy/`] };
  return { first, second, repository: openRepository(parseReference(`${second.host}/c/d`), { mirrors }) };
}

test("a mirror is asked instead of the registry, below its path", async () => {
  const { first, second, repository } = await start(whole);
  expect((await repository.resolve("latest"))?.digest).toBe(DESCRIPTOR.digest);
  expect((await bytesOf(repository.fetch(DESCRIPTOR))).equals(BLOB)).toBe(true);
  expect(first.seen.map(({ path }) => path)).toEqual([
    "/v2/proxy/c/d/manifests/latest",
    `/v2/proxy/c/d/blobs/${DESCRIPTOR.digest}`,
  ]);
  expect(second.seen).toEqual([]);
});

test.each([404, 401, 500])("a mirror that answers %i is passed over, after one try", async (status) => {
  const { first, second, repository } = await start((_, response) => reply(response, status));
  expect((await repository.resolve("latest"))?.digest).toBe(DESCRIPTOR.digest);
  expect((await bytesOf(repository.fetch(DESCRIPTOR))).equals(BLOB)).toBe(true);
  expect(second.seen).toHaveLength(2);
  expect(first.seen.length).toBeLessThanOrEqual(3);
});

test("a mirror that is not there is passed over", async () => {
  const { first, repository } = await start(whole);
  await first.close();
  expect((await repository.resolve("latest"))?.digest).toBe(DESCRIPTOR.digest);
  expect((await bytesOf(repository.fetch(DESCRIPTOR))).equals(BLOB)).toBe(true);
});

test("what a mirror brought is kept when the registry goes on", async () => {
  const { second, repository } = await start(
    (_, response) => {
      response.writeHead(200, { "content-length": String(BLOB.length) });
      response.write(BLOB.subarray(0, 4000), () => setTimeout(() => response.destroy(), 10));
    },
    ({ headers }, response) => {
      const from = Number(/\d+/.exec(headers.range ?? "0")?.[0]);
      const range = { "content-range": `bytes ${from}-${BLOB.length - 1}/${BLOB.length}` };
      reply(response, 206, { body: BLOB.subarray(from), headers: range });
    },
  );
  expect((await bytesOf(repository.fetch(DESCRIPTOR))).equals(BLOB)).toBe(true);
  expect(second.seen.map(({ headers }) => headers.range)).toEqual(["bytes=4000-"]);
});

test("a push goes to the registry", async () => {
  const { first, second, repository } = await start(whole, ({ method }, response) =>
    method === "POST" ? reply(response, 202, { headers: { location: "/up" } }) : reply(response, 201),
  );
  await repository.push(DESCRIPTOR, inChunks(BLOB));
  expect(first.seen).toEqual([]);
  expect(second.seen).toHaveLength(2);
});
