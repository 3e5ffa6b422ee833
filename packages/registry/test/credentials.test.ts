import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { findCredentials } from "../src/credentials.ts";
import { authOf, useCredentials, useHelper } from "./config-directory.ts";

const HUB = "https://index.docker.io/v1/";

test("findCredentials() finds none without files", async () => {
  useCredentials(undefined);
  expect(await findCredentials("a.b", "c")).toEqual({});
});

test.each([
  ["Docker Hub's key", { auths: { [HUB]: authOf("u", "p:q") } }, "docker.io"],
  ["the host", { auths: { "a.b:5000": authOf("u", "p:q") } }, "a.b:5000"],
  ["a URL", { auths: { "https://a.b": authOf("u", "p:q") } }, "a.b"],
  ["a URL of version 1", { auths: { "https://a.b/v1/": authOf("u", "p:q") } }, "a.b"],
  ["plain members", { auths: { "a.b": { username: "u", password: "p:q" } } }, "a.b"],
  ["another entry that is empty", { auths: { "https://a.b": authOf("u", "p:q"), "a.b": {} } }, "a.b"],
])("findCredentials() finds a password by %s", async (_, config, registry) => {
  const { directory } = useCredentials(config);
  expect(await findCredentials(registry, "c/d")).toEqual({
    credentials: { type: "password", username: "u", password: "p:q", source: join(directory, "config.json") },
  });
});

test("findCredentials() takes the longest path of Podman's file, and that file first", async () => {
  useCredentials(
    { auths: { "a.b": authOf("docker", "x") } },
    { auths: { "a.b": authOf("host", "x"), "a.b/c": authOf("short", "x"), "a.b/c/d": authOf("long", "x") } },
  );
  const userOf = async (repository: string): Promise<unknown> => (await findCredentials("a.b", repository)).credentials;
  expect(await userOf("c/d")).toMatchObject({ username: "long" });
  expect(await userOf("c/e")).toMatchObject({ username: "short" });
  expect(await userOf("cc")).toMatchObject({ username: "host" });
});

test("findCredentials() finds identity tokens and registry tokens", async () => {
  useCredentials({ auths: { "a.b": { ...authOf("u", ""), identitytoken: "it" }, "c.d": { registrytoken: "rt" } } });
  expect((await findCredentials("a.b", "x")).credentials).toMatchObject({ type: "identity-token", token: "it" });
  expect((await findCredentials("c.d", "x")).credentials).toMatchObject({ type: "registry-token", token: "rt" });
});

test("findCredentials() asks the registry's helper before the store, and the store before the file", async () => {
  const { directory } = useCredentials({
    credHelpers: { "one.io": "one" },
    credsStore: "all",
    auths: { "one.io": authOf("file", "x"), "two.io": {}, "three.io": authOf("file", "y") },
  });
  useHelper(directory, "one", `echo '{"ServerURL":"x","Username":"helper","Secret":"s"}'`);
  useHelper(
    directory,
    "all",
    `case $server in two.io) echo '{"Username":"<token>","Secret":"identity"}';; *) echo "credentials not found in native keychain"; exit 1;; esac`,
  );
  expect((await findCredentials("one.io", "x")).credentials).toMatchObject({
    type: "password",
    username: "helper",
    source: "docker-credential-one",
  });
  expect((await findCredentials("two.io", "x")).credentials).toMatchObject({
    type: "identity-token",
    token: "identity",
  });
  expect((await findCredentials("three.io", "x")).credentials).toMatchObject({ username: "file", password: "y" });
  expect(await findCredentials("docker.io", "x")).toEqual({});
  expect(readFileSync(join(directory, "asked"), "utf8").trim().split("\n")).toEqual([
    "get one.io",
    "get two.io",
    "get three.io",
    `get ${HUB}`,
  ]);
});

test("findCredentials() tells of a helper that is not installed, and goes on without", async () => {
  useCredentials({ credsStore: "varve-absent" });
  const found = await findCredentials("a.b", "c");
  expect(found.credentials).toBeUndefined();
  expect(found.problem).toContain("docker-credential-varve-absent");
});

test.each([
  ["config.json that is not JSON", "{secret"],
  ["an auth member that is not base64 of user:password", JSON.stringify({ auths: { "a.b": { auth: "c2VjcmV0" } } })],
])("findCredentials() refuses %s, without printing it", async (_, text) => {
  const { directory } = useCredentials({});
  writeFileSync(join(directory, "config.json"), text);
  const error: unknown = await findCredentials("a.b", "c").catch((each: unknown) => each);
  expect(error).toMatchObject({ code: "CREDENTIALS_INVALID", message: expect.stringContaining(directory) as string });
  expect(String(error)).not.toContain("secret");
});

test("findCredentials() refuses a helper's answer that is not JSON, without printing it", async () => {
  const { directory } = useCredentials({ credsStore: "odd" });
  useHelper(directory, "odd", "echo secret");
  const error: unknown = await findCredentials("a.b", "c").catch((each: unknown) => each);
  expect(error).toMatchObject({ code: "CREDENTIALS_INVALID" });
  expect(String(error)).not.toContain("secret");
});
