import { randomBytes } from "node:crypto";
import { readdirSync, truncateSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PROTOCOL_PATH } from "@varve/cache";
import { digestOf, hexOf } from "@varve/oci";
import { parseRange } from "../src/parse-range.ts";
import { type Client, indexBytes, layerBytes, makeRecord, startTestServer, type TestServer } from "./running-server.ts";

let server: TestServer;
let main: Client;
beforeAll(async () => {
  server = await startTestServer({ bodyTimeout: 400, maxBlob: 3_000_000 });
  main = await server.client("main");
});
afterAll(() => server[Symbol.asyncDispose]());

function temporaries(): readonly string[] {
  return readdirSync(join(server.data, "tmp"));
}

describe("PUT /blobs", () => {
  test("stores a blob that then reads back, whole and by range", async () => {
    const bytes = randomBytes(2_500_000);
    const digest = await main.push(bytes);
    const whole = await main.send("GET", `/blobs/${digest}`);
    expect(whole.status).toBe(200);
    expect(whole.bytes.equals(bytes)).toBe(true);
    expect(whole.headers.get("etag")).toBe(`"${digest}"`);
    const head = await main.send("HEAD", `/blobs/${digest}`);
    expect(head.headers.get("content-length")).toBe("2500000");
    const part = await main.send("GET", `/blobs/${digest}`, undefined, { range: "bytes=1000000-1999999" });
    expect(part).toMatchObject({ status: 206 });
    expect(part.headers.get("content-range")).toBe("bytes 1000000-1999999/2500000");
    expect(part.bytes.equals(bytes.subarray(1_000_000, 2_000_000))).toBe(true);
    const beyond = await main.send("GET", `/blobs/${digest}`, undefined, { range: "bytes=2500000-" });
    expect(beyond).toMatchObject({ status: 416, body: { error: { code: "RANGE_INVALID" } } });
    expect(beyond.headers.get("content-range")).toBe("bytes */2500000");
  });

  test("stores an empty blob", async () => {
    const digest = await main.push(Buffer.alloc(0));
    const answer = await main.send("GET", `/blobs/${digest}`);
    expect(answer).toMatchObject({ status: 200, bytes: Buffer.alloc(0) });
  });

  test("refuses other bytes than announced and keeps nothing of them", async () => {
    const digest = digestOf(Buffer.from("right"));
    const answer = await main.send("PUT", `/blobs/${digest}`, Buffer.from("wrong"));
    expect(answer).toMatchObject({ status: 400, body: { error: { code: "DIGEST_MISMATCH" } } });
    expect((await main.send("GET", `/blobs/${digest}`)).status).toBe(404);
    expect(temporaries()).toEqual([]);
  });

  test("refuses a blob that is too large before it is sent", async () => {
    const bytes = Buffer.alloc(3_000_001);
    const answer = await main.send("PUT", `/blobs/${digestOf(bytes)}`, bytes);
    expect(answer).toMatchObject({ status: 413, body: { error: { code: "TOO_LARGE" } } });
  });

  test("takes the same blob from many at once", async () => {
    const bytes = randomBytes(500_000);
    const digests = await Promise.all(Array.from({ length: 8 }, () => main.push(bytes)));
    expect(new Set(digests)).toEqual(new Set([digestOf(bytes)]));
    expect((await main.send("GET", `/blobs/${digestOf(bytes)}`)).bytes.equals(bytes)).toBe(true);
    expect(temporaries()).toEqual([]);
  });

  test.each([
    `/blobs/sha256:${"0".repeat(63)}`,
    `/blobs/sha256:${"A".repeat(64)}`,
    `/blobs/${"0".repeat(64)}`,
    "/blobs/..%2f..%2fkeys.json",
    "/blobs/sha256:%2e%2e%2f%2e%2e%2fkeys.json",
    `/blobs/sha512:${"0".repeat(128)}`,
  ])("refuses %s, which is no digest", async (path) => {
    expect((await main.send("GET", path)).status).toBe(400);
    expect((await main.send("PUT", path, Buffer.from("x"))).status).toBe(400);
  });
});

describe("POST /blobs/DIGEST/ranges", () => {
  test("sends ranges in the order in which they are asked for, overlapping ones too", async () => {
    const bytes = randomBytes(2_000_000);
    const digest = await main.push(bytes);
    const ranges = [
      [1_500_000, 1_500_010],
      [0, 1_200_000],
      [5, 6],
    ];
    const answer = await main.send("POST", `/blobs/${digest}/ranges`, { ranges });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-length")).toBe("1200011");
    const wanted = Buffer.concat(ranges.map(([start, end]) => bytes.subarray(start, end)));
    expect(answer.bytes.equals(wanted)).toBe(true);
  });

  test.each([
    [[[5, 5]]],
    [[[6, 5]]],
    [[[0, 101]]],
    [
      [
        [0, 1],
        [100, 101],
      ],
    ],
  ])("refuses %j of 100 bytes", async (ranges) => {
    const digest = await main.push(Buffer.alloc(100, "a"));
    expect((await main.send("POST", `/blobs/${digest}/ranges`, { ranges })).status).toBe(416);
  });
});

describe("POST /blobs/missing", () => {
  test("names the blobs that are not readable", async () => {
    const [a, b] = [await main.push(Buffer.from("there")), digestOf(Buffer.from("not there"))];
    expect((await main.send("POST", "/blobs/missing", { digests: [b, a] })).body).toEqual({ missing: [b] });
  });
});

describe("a blob that is damaged on disk", () => {
  test("is gone, with the record that names it, and can be stored again", async () => {
    const record = await main.put("damaged", "damaged");
    const digest = makeRecord("damaged", "damaged").layer.descriptor.digest;
    const file = join(server.data, "blobs", hexOf(digest).slice(0, 2), hexOf(digest));
    truncateSync(file, 7);
    expect((await main.send("GET", `/blobs/${digest}`)).status).toBe(404);
    await expect.poll(async () => (await main.send("GET", `/records/${record.key}`)).status).toBe(404);
    await main.push(layerBytes("damaged"));
    expect((await main.send("GET", `/blobs/${digest}`)).bytes.equals(layerBytes("damaged"))).toBe(true);
    await main.push(indexBytes("damaged"));
    expect((await main.send("PUT", `/records/${record.key}`, record)).status).toBe(201);
  });

  test("is replaced by the right bytes when it is sent again", async () => {
    const pr = await server.client("pr/1");
    const bytes = randomBytes(1000);
    const digest = await pr.push(bytes);
    writeFileSync(join(server.data, "blobs", hexOf(digest).slice(0, 2), hexOf(digest)), randomBytes(1000));
    await main.push(bytes);
    expect((await main.send("GET", `/blobs/${digest}`)).bytes.equals(bytes)).toBe(true);
  });
});

/** What a server answers to these bytes on a connection of their own, until it says no more or closes it. */
function talk(parts: readonly (string | Buffer)[], { end = false } = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname, () => {
      for (const part of parts) socket.write(part);
      if (end) socket.end();
    });
    let answer = "";
    socket.on("data", (chunk: Buffer) => {
      answer += chunk.toString();
      if (answer.replace("HTTP/1.1 100 Continue\r\n\r\n", "").includes("\r\n\r\n")) socket.end();
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(answer));
  });
}

function head(digest: string, size: number, more = ""): string {
  return `PUT ${PROTOCOL_PATH}/blobs/${digest} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${main.token}\r\nContent-Type: application/octet-stream\r\nContent-Length: ${size}\r\n${more}\r\n`;
}

describe("a body", () => {
  test("that ends early leaves nothing", async () => {
    const bytes = randomBytes(1000);
    await talk([head(digestOf(bytes), 1000), bytes.subarray(0, 500)], { end: true });
    await expect.poll(temporaries).toEqual([]);
    expect((await main.send("GET", `/blobs/${digestOf(bytes)}`)).status).toBe(404);
  });

  test("that trickles is given up, and leaves nothing", async () => {
    const bytes = randomBytes(200_000);
    const answer = await talk([head(digestOf(bytes), bytes.length), bytes.subarray(0, 10)]);
    expect(answer).toContain("HTTP/1.1 408");
    expect(answer).toContain("TOO_SLOW");
    expect(temporaries()).toEqual([]);
  });

  test("in JSON that never ends is cut off", async () => {
    const start = `POST ${PROTOCOL_PATH}/blobs/missing HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${main.token}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{`;
    expect(await talk([start])).toBe("");
  });

  test("without a length is refused", async () => {
    const digest = digestOf(Buffer.from("chunked"));
    const chunked = head(digest, 0).replace("Content-Length: 0", "Transfer-Encoding: chunked");
    expect(await talk([chunked, "7\r\nchunked\r\n0\r\n\r\n"])).toContain("HTTP/1.1 411");
  });

  test("is not asked for with Expect where the blob is there, and is where it is not", async () => {
    const bytes = randomBytes(1000);
    const digest = digestOf(bytes);
    const expectation = "Expect: 100-continue\r\n";
    const fresh = await talk([head(digest, 1000, expectation), bytes]);
    expect(fresh).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 201/);
    expect(await talk([head(digest, 1000, expectation)])).toMatch(/^HTTP\/1.1 200/);
    const stranger = head(digest, 1000, expectation).replace(main.token ?? "", "varve_x");
    expect(await talk([stranger])).toMatch(/^HTTP\/1.1 401/);
  });
});

describe("parseRange()", () => {
  test.each<[string | undefined, number, unknown]>([
    [undefined, 10, undefined],
    ["bytes=0-", 10, { start: 0, end: 10 }],
    ["bytes=2-4", 10, { start: 2, end: 5 }],
    ["bytes=2-400", 10, { start: 2, end: 10 }],
    ["bytes=-3", 10, { start: 7, end: 10 }],
    ["bytes=-30", 10, { start: 0, end: 10 }],
    ["bytes=-0", 10, "unsatisfiable"],
    ["bytes=10-", 10, "unsatisfiable"],
    ["bytes=0-", 0, "unsatisfiable"],
    ["bytes=5-4", 10, undefined],
    ["bytes=-", 10, undefined],
    ["bytes=0-1,3-4", 10, undefined],
    ["lines=0-1", 10, undefined],
  ])("makes of %s of %i bytes %j", (header, size, wanted) => {
    expect(parseRange(header, size)).toEqual(wanted);
  });
});
