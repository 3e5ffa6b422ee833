import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cacheKey, rootfsDigest, stepDigest } from "@varve/cache-key";
import { parseVerifyKeys, verifyRecord } from "@varve/cache";
import { digestOf } from "@varve/oci";
import {
  type Client,
  indexBytes,
  keyOf,
  layerBytes,
  makeRecord,
  signedOf,
  startTestServer,
  type TestServer,
} from "./running-server.ts";

let server: TestServer;
let main: Client;
beforeAll(async () => {
  server = await startTestServer();
  main = await server.client("main", { name: "ci", actions: ["write", "replace"] });
});
afterAll(() => server[Symbol.asyncDispose]());

describe("PUT /records", () => {
  test("stores a record whose blobs are there, signed, naming lane and principal", async () => {
    const record = await main.put("stored");
    const answer = await main.send("GET", `/records/${record.key}`);
    expect(answer.status).toBe(200);
    const signed = signedOf(answer);
    expect(signed).toMatchObject({ record, lane: "main", principal: "ci" });
    const keys = parseVerifyKeys((await server.stranger.send("GET", "/keys")).body);
    expect(verifyRecord(signed, keys)).toBe(true);
    expect(verifyRecord({ ...signed, lane: "pr/1" }, keys)).toBe(false);
    expect(verifyRecord({ ...signed, record: { ...signed.record, duration: 1 } }, keys)).toBe(false);
  });

  test("refuses a record whose blobs are missing, and names them; it is not visible", async () => {
    const record = makeRecord("dangling", "dangling");
    await main.push(layerBytes("dangling"));
    const answer = await main.send("PUT", `/records/${record.key}`, record);
    expect(answer.status).toBe(422);
    expect(answer.body).toMatchObject({ error: { code: "BLOBS_MISSING" }, missing: [record.layer.index.digest] });
    expect((await main.send("GET", `/records/${record.key}`)).status).toBe(404);
    await main.push(indexBytes("dangling"));
    expect((await main.send("PUT", `/records/${record.key}`, record)).body).toEqual({ outcome: "stored" });
  });

  test("counts a blob with another size than the record says as missing", async () => {
    const record = makeRecord("size", "size");
    await main.push(layerBytes("size"));
    await main.push(indexBytes("size"));
    const layer = { ...record.layer, index: { ...record.layer.index, size: 1 } };
    const answer = await main.send("PUT", `/records/${record.key}`, { ...record, layer });
    expect(answer.body).toMatchObject({ missing: [record.layer.index.digest] });
  });

  test("keeps the first record of a key: same for the same layer, conflict for another, replaced only when asked", async () => {
    const first = await main.put("twice", "one");
    const path = `/records/${first.key}`;
    expect(await main.send("PUT", path, { ...first, duration: 9 })).toMatchObject({
      status: 200,
      body: { outcome: "same" },
    });
    await main.put("other", "two");
    const second = makeRecord("twice", "two");
    const conflict = await main.send("PUT", path, second);
    expect(conflict).toMatchObject({ status: 409, body: { outcome: "conflict", existing: { record: first } } });
    expect(signedOf(await main.send("GET", path)).record).toEqual(first);
    const plain = await server.client("main");
    expect((await plain.send("PUT", `${path}?replace=1`, second)).status).toBe(403);
    expect((await main.send("PUT", `${path}?replace=1`, second)).status).toBe(201);
    expect(signedOf(await main.send("GET", path)).record).toEqual(second);
  });

  test("lets one of many writers of a key win, and tells the others who did", async () => {
    const contents = Array.from({ length: 12 }, (_, number) => `race ${number}`);
    for (const content of contents) {
      await main.push(layerBytes(content));
      await main.push(indexBytes(content));
    }
    const answers = await Promise.all(
      contents.map((content) => main.send("PUT", `/records/${keyOf("race")}`, makeRecord("race", content))),
    );
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    const [kept] = (await main.send("POST", "/records/lookup", { keys: [keyOf("race")] })).body.records;
    for (const { status, body } of answers)
      if (status !== 201) expect(body).toEqual({ outcome: "conflict", existing: kept });
  });

  test.each<[string, (record: ReturnType<typeof makeRecord>) => unknown]>([
    ["a record of another key", (record) => ({ ...record, key: keyOf("elsewhere") })],
    ["a digest that is a path", (record) => ({ ...record, layer: { ...record.layer, diffId: "sha256:../../../x" } })],
    ["a time in words", (record) => ({ ...record, createdAt: "yesterday" })],
    ["a list", (record) => [record]],
  ])("refuses %s", async (_, change) => {
    const record = makeRecord("malformed", "malformed");
    const answer = await main.send("PUT", `/records/${record.key}`, change(record));
    expect(answer).toMatchObject({ status: 400, body: { error: { code: "REQUEST_INVALID" } } });
  });
});

describe("POST /records/lookup and /layers/lookup", () => {
  test("answer in the order of what was asked for", async () => {
    const [a, b] = [await main.put("look a", "look a"), await main.put("look b", "look b")];
    const keys = [b.key, keyOf("absent"), a.key, b.key];
    const { body } = await main.send("POST", "/records/lookup", { keys });
    expect(body.records.map((each: { record: unknown } | null) => each?.record)).toEqual([b, undefined, a, b]);
    const contentDigests = [keyOf("absent"), makeRecord("look a", "look a").layer.contentDigest];
    expect((await main.send("POST", "/layers/lookup", { contentDigests })).body).toEqual({ layers: [null, a.layer] });
  });

  test("take at most a thousand", async () => {
    const keys = Array.from({ length: 1001 }, (_, number) => keyOf(`many ${number}`));
    expect((await main.send("POST", "/records/lookup", { keys })).status).toBe(400);
    expect((await main.send("POST", "/records/lookup", { keys: keys.slice(1) })).body.records).toHaveLength(1000);
  });
});

describe("POST /resolve", () => {
  const base = [digestOf(Buffer.from("base 1")), digestOf(Buffer.from("base 2"))];

  /** A build of two stages: three steps on a base, and one that copies from the second into an empty rootfs. */
  async function storeBuild(name: string): Promise<readonly string[]> {
    const rootfs = [...base];
    const names: string[] = [];
    const step = (number: number) => stepDigest({ definition: { name, number }, inputs: [] });
    for (let number = 0; number < 3; number += 1) {
      const key = cacheKey(step(number), rootfsDigest(rootfs));
      await putAs(key, `${name} ${number}`);
      rootfs.push(makeRecord("", `${name} ${number}`).layer.contentDigest);
      names.push(key);
    }
    const copied = rootfsDigest(rootfs.slice(0, 4));
    const last = cacheKey(stepDigest({ definition: { name, copy: true }, inputs: [copied] }), undefined);
    await putAs(last, `${name} last`);
    return [...names, last];
  }

  async function putAs(key: string, content: string): Promise<void> {
    await main.push(layerBytes(content));
    await main.push(indexBytes(content));
    const { status } = await main.send("PUT", `/records/${key}`, { ...makeRecord("", content), key });
    expect(status).toBe(201);
  }

  function requestFor(name: string, definitionOfSecond: unknown = { name, number: 1 }): unknown {
    const step = (number: number) => stepDigest({ definition: { name, number }, inputs: [] });
    return {
      roots: [base, []],
      steps: [
        { stepDigest: step(0), parent: { rootfs: { root: 0 } }, over: { root: 0 } },
        { definition: definitionOfSecond, inputs: [], parent: { rootfs: { step: 0 } }, over: { step: 0 } },
        { stepDigest: step(2), parent: { rootfs: { step: 1 } }, over: { step: 1 } },
        { definition: { name, copy: true }, inputs: [{ rootfs: { step: 1 } }], parent: null, over: { root: 1 } },
      ],
    };
  }

  const keysIn = (body: { records: ({ record: { key: string } } | null)[] }) =>
    body.records.map((each) => each?.record.key);

  test("walks a build of several stages in one round trip", async () => {
    const keys = await storeBuild("whole");
    const { status, body } = await main.send("POST", "/resolve", requestFor("whole"));
    expect(status).toBe(200);
    expect(keysIn(body)).toEqual(keys);
  });

  test("leaves out a step that misses and all that need it", async () => {
    const [first] = await storeBuild("changed");
    const { body } = await main.send("POST", "/resolve", requestFor("changed", { other: true }));
    expect(keysIn(body)).toEqual([first, undefined, undefined, undefined]);
  });

  test.each<[string, unknown]>([
    [
      "a step that needs a later one",
      { roots: [], steps: [{ stepDigest: keyOf("x"), parent: null, over: { step: 0 } }] },
    ],
    ["a root that is not there", { roots: [[]], steps: [{ stepDigest: keyOf("x"), parent: null, over: { root: 1 } }] }],
    ["a negative node", { roots: [[]], steps: [{ stepDigest: keyOf("x"), parent: null, over: { root: -1 } }] }],
    ["a step without a digest", { roots: [[]], steps: [{ parent: null, over: { root: 0 } }] }],
  ])("refuses %s", async (_, request) => {
    expect((await main.send("POST", "/resolve", request)).status).toBe(400);
  });
});
