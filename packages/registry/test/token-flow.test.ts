import type { ServerResponse } from "node:http";
import { parseReference } from "@varve/oci";
import { descriptorOf, inChunks } from "@varve/oci/testing";
import { expect, test, vi } from "vitest";
import { openRepository } from "../src/index.ts";
import { authOf, useCredentials } from "./config-directory.ts";
import { type Answer, type FakeServer, reply, type SeenRequest, startFakeServer } from "./fake-server.ts";

const BLOB = Buffer.from("content");
const DESCRIPTOR = descriptorOf(BLOB);

interface TokenServer {
  readonly server: FakeServer;
  /** Requests for tokens. */
  tokens(): readonly SeenRequest[];
}

/** A registry with one blob and a token server at `/token`; `grant` answers for tokens, `accept` judges headers. */
async function startTokenServer(
  grant: Answer,
  accept: (authorization: string) => boolean = (authorization) => authorization.startsWith("Bearer t"),
): Promise<TokenServer> {
  const server = await startFakeServer((request, response, count) => {
    if (request.path.startsWith("/token")) return grant(request, response, count);
    if (!accept(request.headers.authorization ?? "")) return challenge(response, request);
    return serveBlob(request, response);
  });
  return { server, tokens: () => server.seen.filter(({ path }) => path.startsWith("/token")) };
}

function challenge(response: ServerResponse, { headers }: SeenRequest): void {
  const realm = `Bearer realm="http://${headers.host}/token",service="the service",scope="repository:c/d:pull"`;
  reply(response, 401, { headers: { "www-authenticate": realm }, body: { errors: [{ code: "UNAUTHORIZED" }] } });
}

function serveBlob({ method, path }: SeenRequest, response: ServerResponse): void {
  if (method === "POST" && path.includes("mount=")) return reply(response, 201);
  if (method === "POST") return reply(response, 202, { headers: { location: "/v2/c/d/blobs/uploads/1?state=x" } });
  if (method === "PUT") return reply(response, 201);
  return reply(response, 200, { body: BLOB });
}

const open = ({ server }: TokenServer) => openRepository(parseReference(`${server.host}/c/d`));

test("anonymous access fetches a token by GET once, and uses it again", async () => {
  useCredentials(undefined);
  const server = await startTokenServer((_, response) => reply(response, 200, { body: { token: "t1" } }));
  const repository = open(server);
  await Promise.all(Array.from({ length: 5 }, () => repository.exists(DESCRIPTOR)));
  expect(await repository.exists(DESCRIPTOR)).toBe(true);
  expect(server.tokens()).toMatchObject([
    { method: "GET", path: "/token?service=the+service&scope=repository%3Ac%2Fd%3Apull" },
  ]);
  expect(server.tokens()[0]?.headers.authorization).toBeUndefined();
});

test("a password is posted to the token server", async () => {
  const server = await startTokenServer((_, response) => reply(response, 200, { body: { access_token: "t1" } }));
  useCredentials({ auths: { [server.server.host]: authOf("user", "pass word") } });
  expect(await open(server).exists(DESCRIPTOR)).toBe(true);
  const [request] = server.tokens();
  expect(request?.method).toBe("POST");
  expect(Object.fromEntries(new URLSearchParams(request?.body))).toEqual({
    grant_type: "password",
    username: "user",
    password: "pass word",
    service: "the service",
    client_id: "varve",
    scope: "repository:c/d:pull",
  });
});

test.each([404, 405, 401, 400])("a token server that answers %i to POST is asked by GET, as Basic", async (status) => {
  const server = await startTokenServer((request, response) =>
    request.method === "POST" ? reply(response, status) : reply(response, 200, { body: { token: "t1" } }),
  );
  useCredentials({ auths: { [server.server.host]: authOf("user", "pass") } });
  expect(await open(server).exists(DESCRIPTOR)).toBe(true);
  expect(server.tokens().map(({ method }) => method)).toEqual(["POST", "GET"]);
  expect(server.tokens()[1]?.path).toContain("account=user");
  expect(server.tokens()[1]?.headers.authorization).toBe(`Basic ${authOf("user", "pass").auth}`);
});

test("an identity token is posted as a refresh token, and never left out", async () => {
  const server = await startTokenServer((request, response) =>
    request.body.includes("refresh_token=good")
      ? reply(response, 200, { body: { token: "t1" } })
      : reply(response, 401),
  );
  useCredentials({ auths: { [server.server.host]: { identitytoken: "good" } } });
  expect(await open(server).exists(DESCRIPTOR)).toBe(true);
  useCredentials({ auths: { [server.server.host]: { identitytoken: "bad" } } });
  await expect(open(server).exists(DESCRIPTOR)).rejects.toMatchObject({ code: "UNAUTHORIZED" });
  expect(server.tokens().map(({ method }) => method)).toEqual(["POST", "POST"]);
});

test("a registry token is sent as it is", async () => {
  const server = await startTokenServer((_, response) => reply(response, 500));
  useCredentials({ auths: { [server.server.host]: { registrytoken: "t-mine" } } });
  expect(await open(server).exists(DESCRIPTOR)).toBe(true);
  expect(server.tokens()).toEqual([]);
});

test("a push asks for its own scope without being refused first, a mount for the other repository's too", async () => {
  useCredentials(undefined);
  const server = await startTokenServer((_, response) => reply(response, 200, { body: { token: "t1" } }));
  const repository = open(server);
  await repository.exists(DESCRIPTOR);
  await repository.push(DESCRIPTOR, inChunks(BLOB));
  expect(await repository.mount(DESCRIPTOR, "other")).toBe(true);
  const scopes = server.tokens().map(({ path }) => new URL(path, "http://x").searchParams.getAll("scope"));
  expect(scopes).toEqual([
    ["repository:c/d:pull"],
    ["repository:c/d:pull,push"],
    ["repository:c/d:pull,push", "repository:other:pull"],
  ]);
  expect(server.server.seen.filter(({ path }) => path.startsWith("/v2/")).length).toBe(5);
});

test("a token that is refused, or expires, is replaced by another", async () => {
  useCredentials(undefined);
  let valid = "t1";
  const server = await startTokenServer(
    (_, response) => reply(response, 200, { body: { token: valid, expires_in: 300 } }),
    (authorization) => authorization === `Bearer ${valid}`,
  );
  const repository = open(server);
  expect(await repository.exists(DESCRIPTOR)).toBe(true);
  valid = "t2";
  expect(await repository.exists(DESCRIPTOR)).toBe(true);
  expect(server.tokens()).toHaveLength(2);
  const later = Date.now() + 295_000;
  const clock = vi.spyOn(Date, "now").mockReturnValue(later);
  expect(await repository.exists(DESCRIPTOR)).toBe(true);
  clock.mockRestore();
  expect(server.tokens()).toHaveLength(3);
  expect(server.server.seen.filter(({ path }) => path.startsWith("/v2/"))).toHaveLength(5);
});

test("a token that is refused again and again ends in UNAUTHORIZED", async () => {
  useCredentials(undefined);
  const server = await startTokenServer(
    (_, response) => reply(response, 200, { body: { token: "t1" } }),
    () => false,
  );
  await expect(open(server).exists(DESCRIPTOR)).rejects.toMatchObject({ code: "UNAUTHORIZED", status: 401 });
  expect(server.tokens()).toHaveLength(1);
});

test("a refusal names the file that the credentials come from, and what the server said", async () => {
  const server = await startTokenServer((_, response) =>
    reply(response, 401, { body: { details: "incorrect username or password" } }),
  );
  const { directory } = useCredentials({ auths: { [server.server.host]: authOf("user", "wrong") } });
  await expect(open(server).exists(DESCRIPTOR)).rejects.toMatchObject({
    code: "UNAUTHORIZED",
    message: expect.stringMatching(
      `${directory}/config.json were refused .401: incorrect username or password`,
    ) as string,
    hint: `Log in with docker login ${server.server.host}`,
  });
});

test("a refusal without credentials names the helper that could not be asked", async () => {
  const server = await startTokenServer((_, response) => reply(response, 403));
  useCredentials({ credsStore: "varve-absent" });
  await expect(open(server).exists(DESCRIPTOR)).rejects.toMatchObject({
    code: "UNAUTHORIZED",
    message: expect.stringContaining("no credentials were found") as string,
    hint: expect.stringContaining("docker-credential-varve-absent") as string,
  });
});

test.each([
  ["no token", (response: ServerResponse) => reply(response, 200, { body: {} })],
  ["no JSON", (response: ServerResponse) => reply(response, 200, { body: "<html>" })],
])("a token server with %s breaks the protocol", async (_, answer) => {
  useCredentials(undefined);
  const server = await startTokenServer((__, response) => answer(response));
  await expect(open(server).exists(DESCRIPTOR)).rejects.toMatchObject({ code: "PROTOCOL" });
});

test("Basic is sent after it was asked for, and with every request after that", async () => {
  const wanted = `Basic ${authOf("user", "pass").auth}`;
  const server = await startFakeServer((request, response) =>
    request.headers.authorization === wanted
      ? serveBlob(request, response)
      : reply(response, 401, { headers: { "www-authenticate": 'Basic realm="x"' } }),
  );
  useCredentials({ auths: { [server.host]: authOf("user", "pass") } });
  const repository = openRepository(parseReference(`${server.host}/c/d`));
  expect(await repository.exists(DESCRIPTOR)).toBe(true);
  await repository.push(DESCRIPTOR, inChunks(BLOB));
  expect(server.seen.map(({ headers }) => headers.authorization)).toEqual([undefined, wanted, wanted, wanted]);
  const another = openRepository(parseReference(`${server.host}/c/d`));
  const found = await Promise.all(Array.from({ length: 5 }, () => another.exists(DESCRIPTOR)));
  expect(found).toEqual([true, true, true, true, true]);
  useCredentials({ auths: { [server.host]: authOf("user", "wrong") } });
  const refused = openRepository(parseReference(`${server.host}/c/d`));
  await expect(refused.exists(DESCRIPTOR)).rejects.toMatchObject({ code: "UNAUTHORIZED" });
});
