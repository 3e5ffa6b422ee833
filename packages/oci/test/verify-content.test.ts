import { asyncProperty, assert, integer, uint8Array } from "fast-check";
import { expect, test } from "vitest";
import { createMemoryStore, readChunks, readContent, streamContent, verifyContent } from "@varve/oci";
import { bytesOf, descriptorOf, inChunks, pushBytes, randomBlob } from "@varve/oci/testing";

test("verifyContent() passes on what is described, however it is cut", async () => {
  await assert(
    asyncProperty(uint8Array({ maxLength: 200 }), integer({ min: 1, max: 50 }), async (bytes, length) => {
      const passed = await bytesOf(verifyContent(descriptorOf(bytes), inChunks(bytes, length)));
      expect(passed.equals(bytes)).toBe(true);
    }),
  );
});

test("verifyContent() never ends normally for other bytes", async () => {
  await assert(
    asyncProperty(uint8Array({ maxLength: 50 }), uint8Array({ maxLength: 50 }), async (bytes, others) => {
      if (Buffer.compare(bytes, others) === 0) return;
      const code = bytes.length === others.length ? "DIGEST_MISMATCH" : "SIZE_INVALID";
      const reading = bytesOf(verifyContent(descriptorOf(bytes), inChunks(others, 7)));
      await expect(reading).rejects.toMatchObject({ code });
    }),
  );
});

test("verifyContent() stops reading as soon as there is too much", async () => {
  let pieces = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) {
      pieces += 1;
      yield Buffer.alloc(10);
    }
  }
  await expect(bytesOf(verifyContent(descriptorOf(Buffer.alloc(25)), endless()))).rejects.toMatchObject({
    code: "SIZE_INVALID",
  });
  expect(pieces).toBe(3);
});

test("verifyContent() verifies once what is read of a source, and again for another descriptor", async () => {
  const store = createMemoryStore();
  const descriptor = await pushBytes(store, randomBlob(1000).bytes);
  const content = readChunks(store, descriptor);
  expect(verifyContent({ ...descriptor, mediaType: "text/plain" }, content)).toBe(content);
  const once = verifyContent(descriptor, inChunks(Buffer.alloc(1000)));
  expect(verifyContent(descriptor, once)).toBe(once);
  await expect(bytesOf(once)).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
  const { descriptor: other } = randomBlob(1000);
  await expect(bytesOf(verifyContent(other, content))).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
});

test("streamContent() aborts what it reads from when it is destroyed, and does not wait for it", async () => {
  const { bytes, descriptor } = randomBlob(100);
  let reason: unknown;
  async function* hanging(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    yield bytes.subarray(0, 10);
    await new Promise((_, reject) => {
      signal.addEventListener("abort", () => {
        reason = signal.reason;
        reject(new Error("aborted"));
      });
    });
  }
  const stream = streamContent(descriptor, hanging);
  for await (const chunk of stream) {
    expect((chunk as Buffer).length).toBe(10);
    break;
  }
  expect(stream.destroyed).toBe(true);
  expect(reason).toBeDefined();
});

test("readContent() refuses what is over its limit before it reads", async () => {
  const store = createMemoryStore();
  const descriptor = await pushBytes(store, Buffer.alloc(101));
  expect(await readContent(store, descriptor, { limit: 101 })).toEqual(Buffer.alloc(101));
  await expect(readContent(store, descriptor, { limit: 100 })).rejects.toThrow("at most 100 are read");
  await expect(readContent(store, { ...descriptor, size: 5 * 1024 * 1024 })).rejects.toMatchObject({
    code: "SIZE_INVALID",
  });
});
