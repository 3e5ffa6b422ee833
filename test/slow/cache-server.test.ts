import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { PROTOCOL_PATH } from "@varve/cache";
import { describeCrashes } from "../../apps/cache-server/test/describe-crashes.ts";
import { startProcess } from "../../apps/cache-server/test/server-process.ts";

const MIB = 1024 * 1024;

describeCrashes(6);

/** Sends `size` bytes, which are made as they go; gives the status. */
async function upload(url: string, size: number, seed: number): Promise<number | undefined> {
  const chunk = Buffer.alloc(MIB, seed + 1);
  const hash = createHash("sha256");
  for (let sent = 0; sent < size; sent += MIB) hash.update(chunk);
  const sending = request(`${url}${PROTOCOL_PATH}/blobs/sha256:${hash.digest("hex")}`, {
    method: "PUT",
    headers: { "content-type": "application/octet-stream", "content-length": size },
  });
  const answered = once(sending, "response");
  for (let sent = 0; sent < size; sent += MIB) if (!sending.write(chunk)) await once(sending, "drain");
  sending.end();
  const [response] = (await answered) as [import("node:http").IncomingMessage];
  return response.resume().statusCode;
}

describe("the memory of a server", () => {
  test("stays below 250 MiB with 50 uploads of 64 MiB at once", async () => {
    const data = mkdtempSync(join(tmpdir(), "varve-memory-"));
    const server = await startProcess(["--port", "0", "--data", data, "--anonymous", "write", "--log-level", "error"]);
    const over = new AbortController();
    let peak = 0;
    const watching = (async () => {
      while (!over.signal.aborted) {
        const status = readFileSync(`/proc/${server.child.pid}/status`, "utf8");
        peak = Math.max(peak, Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024);
        await setTimeout(50);
      }
    })();
    try {
      const statuses = await Promise.all(Array.from({ length: 50 }, (_, seed) => upload(server.url, 64 * MIB, seed)));
      expect(new Set(statuses)).toEqual(new Set([201]));
    } finally {
      over.abort();
      await watching;
      await server.end("SIGTERM");
      rmSync(data, { recursive: true, force: true });
    }
    expect(peak).toBeLessThan(250 * MIB);
  });
});
