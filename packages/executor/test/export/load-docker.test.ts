import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { dockerHost } from "../../src/export/docker-host.ts";
import { loadIntoDocker } from "../../src/export/load-docker.ts";

const signal = new AbortController().signal;

function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), "varve-docker-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Speaks as the Engine API does, on a socket of its own; DOCKER_HOST names it. */
async function serve(answer: RequestListener): Promise<void> {
  const socket = join(temporary(), "docker.sock");
  const server = createServer(answer).listen(socket);
  onTestFinished(() => void server.close());
  await new Promise((listening) => server.once("listening", listening));
  vi.stubEnv("DOCKER_HOST", `unix://${socket}`);
}

async function* chunks(count: number): AsyncGenerator<Uint8Array> {
  for (let position = 0; position < count; position += 1) yield Buffer.alloc(65_536, position);
}

beforeEach(() => {
  vi.unstubAllEnvs();
  vi.stubEnv("DOCKER_HOST", "");
  vi.stubEnv("DOCKER_CONTEXT", undefined);
});

describe("loadIntoDocker()", () => {
  test("sends the whole archive", async () => {
    let seen: readonly [string | undefined, number] = ["", 0];
    await serve((request, response) => {
      let length = 0;
      request.on("data", (chunk: Buffer) => (length += chunk.length));
      request.on("end", () => {
        seen = [`${request.method} ${request.url}`, length];
        response.end('{"stream":"Loaded image: app:1"}\n');
      });
    });
    await loadIntoDocker(chunks(40), signal);
    expect(seen).toEqual(["POST /images/load?quiet=1", 40 * 65_536]);
  });

  test.each([
    ["an error after status 200", 200, '{"stream":"x"}\n{"errorDetail":{},"error":"no space left"}\n', /no space left/],
    ["a refusal", 403, '{"message":"not allowed"}', /not allowed/],
    ["an answer that is no JSON", 502, "Bad Gateway", /answered 502: Bad Gateway/],
  ])("tells %s", async (_, status, body, message) => {
    await serve((request, response) => {
      request.resume();
      request.on("end", () => response.writeHead(status).end(body));
    });
    await expect(loadIntoDocker(chunks(2), signal)).rejects.toMatchObject({
      code: "EXPORT_FAILED",
      message: expect.stringMatching(message) as string,
    });
  });

  test("tells what a daemon says that stops reading", async () => {
    await serve((_, response) => {
      response.writeHead(500, { connection: "close" }).end('{"message":"disk full"}');
    });
    await expect(loadIntoDocker(chunks(2000), signal)).rejects.toMatchObject({
      code: "EXPORT_FAILED",
      message: expect.stringMatching(/disk full|EPIPE|ECONNRESET/) as string,
    });
  });

  test("passes on what makes the archive fail", async () => {
    await serve((request) => void request.resume());
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(10);
      throw new Error("blob damaged");
    }
    await expect(loadIntoDocker(failing(), signal)).rejects.toThrow("blob damaged");
  });

  test("ends when it is cancelled", async () => {
    const controller = new AbortController();
    await serve((request) => {
      request.resume();
      request.once("data", () => controller.abort(new Error("cancelled")));
    });
    await expect(loadIntoDocker(chunks(5), controller.signal)).rejects.toThrow();
  });

  test.each([
    ["unix:///does/not/exist.sock", /there is no such socket/],
    ["ssh://host", /unix:\/\/ and plain tcp:\/\/ only/],
    ["tcp://127.0.0.1:1", /ECONNREFUSED/],
  ])("names %s that can't be reached", async (host, message) => {
    vi.stubEnv("DOCKER_HOST", host);
    await expect(loadIntoDocker(chunks(1), signal)).rejects.toMatchObject({
      code: "EXPORT_FAILED",
      message: expect.stringMatching(message) as string,
      hint: expect.stringContaining("DOCKER_HOST") as string,
    });
  });
});

describe("dockerHost()", () => {
  test("takes DOCKER_HOST, else the chosen context's, else the usual socket", async () => {
    const directory = temporary();
    vi.stubEnv("DOCKER_CONFIG", directory);
    expect(await dockerHost()).toBe("unix:///var/run/docker.sock");
    const meta = join(directory, "contexts/meta", createHash("sha256").update("rootless").digest("hex"));
    mkdirSync(meta, { recursive: true });
    writeFileSync(join(meta, "meta.json"), '{"Endpoints":{"docker":{"Host":"unix:///run/user/1/docker.sock"}}}');
    writeFileSync(join(directory, "config.json"), '{"currentContext":"rootless"}');
    expect(await dockerHost()).toBe("unix:///run/user/1/docker.sock");
    vi.stubEnv("DOCKER_CONTEXT", "default");
    expect(await dockerHost()).toBe("unix:///var/run/docker.sock");
    vi.stubEnv("DOCKER_HOST", "tcp://h:1");
    expect(await dockerHost()).toBe("tcp://h:1");
  });
});
