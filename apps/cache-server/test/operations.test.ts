import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { type ClientRequest, request as sendHttp } from "node:http";
import { request as sendHttps } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PROTOCOL_PATH } from "@varve/cache";
import { digestOf } from "@varve/oci";
import { type Client, createClient, createTestToken, keyOf, startTestServer } from "./running-server.ts";
import { MAIN_SCRIPT, type ServerProcess, startProcess } from "./server-process.ts";

let directory: string;
const running: ServerProcess[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "varve-operations-"));
});
afterEach(async () => {
  for (const server of running.splice(0)) await server.end("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
});

async function start(...args: readonly string[]): Promise<ServerProcess> {
  const server = await startProcess(["--port", "0", "--data", directory, "--min-free", "0", ...args]);
  running.push(server);
  return server;
}

/** An upload of which half is sent. */
function beginUpload(
  url: string,
  token: string,
  bytes: Buffer,
): { readonly status: Promise<number>; readonly request: ClientRequest } {
  const headers = {
    authorization: `Bearer ${token}`,
    "content-type": "application/octet-stream",
    "content-length": bytes.length,
  };
  const request = sendHttp(`${url}${PROTOCOL_PATH}/blobs/${digestOf(bytes)}`, { method: "PUT", headers });
  const status = new Promise<number>((resolve, reject) => {
    request.on("response", (response) => resolve(response.resume().statusCode ?? 0)).on("error", reject);
  });
  request.write(bytes.subarray(0, bytes.length / 2));
  return { status, request };
}

describe("SIGTERM", () => {
  test("lets a transfer end, answers those who wait, takes no more, and ends with 0", async () => {
    const token = await createTestToken(directory, "main");
    const server = await start();
    const client = createClient(server.url, token);
    const bytes = randomBytes(100_000);
    await client.send("POST", `/leases/${keyOf("x")}`, { ttl: 60_000, holder: "x" });
    const waiting = client.send("GET", `/leases/${keyOf("x")}/wait?timeout=60000`);
    const upload = beginUpload(server.url, token, bytes);
    await setTimeout(300);
    const ended = server.end("SIGTERM");
    expect((await waiting).body.state).toBe("held");
    await setTimeout(200);
    await expect(fetch(`${server.url}/livez`)).rejects.toThrow("fetch failed");
    upload.request.end(bytes.subarray(bytes.length / 2));
    expect(await upload.status).toBe(201);
    expect(await ended).toBe(0);
    const again = createClient((await start()).url, token);
    expect((await again.send("GET", `/blobs/${digestOf(bytes)}`)).bytes.equals(bytes)).toBe(true);
  });

  test("cuts off what takes longer than the settings allow", async () => {
    const token = await createTestToken(directory, "main");
    const server = await start("--drain-timeout", "300");
    const upload = beginUpload(server.url, token, randomBytes(100_000));
    const failed = expect(upload.status).rejects.toThrow();
    await setTimeout(300);
    expect(await server.end("SIGTERM")).toBe(0);
    await failed;
  });
});

describe("a full disk", () => {
  /** Runs with a tmpfs of 24 MiB as the data directory. */
  async function onSmallDisk(minFree: string, run: (client: Client) => Promise<void>): Promise<void> {
    const disk = join(directory, "disk");
    execFileSync("mkdir", [disk]);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=24m", "tmpfs", disk]);
    writeFileSync(join(disk, "ballast"), Buffer.alloc(6_000_000));
    try {
      const token = await createTestToken(disk, "main");
      const server = await startProcess([
        "--port",
        "0",
        "--data",
        disk,
        "--min-free",
        minFree,
        "--log-level",
        "silent",
      ]);
      try {
        await run(createClient(server.url, token));
      } finally {
        await server.end("SIGTERM");
      }
    } finally {
      execFileSync("umount", [disk]);
    }
  }

  /** Sends blobs until one is refused; gives those that were stored, and the refusal. */
  async function fill(
    client: Client,
  ): Promise<{ readonly stored: readonly string[]; readonly status: number; readonly code: string }> {
    const stored: string[] = [];
    for (;;) {
      const bytes = randomBytes(3_000_000);
      const { status, body } = await client.send("PUT", `/blobs/${digestOf(bytes)}`, bytes);
      if (status !== 201) return { stored, status, code: body.error.code };
      stored.push(digestOf(bytes));
    }
  }

  test.runIf(process.getuid?.() === 0).each(["4MiB", "0"])(
    "is told with 507 where %s are to stay free; what was stored stays whole, and the server goes on",
    async (minFree) => {
      await onSmallDisk(minFree, async (client) => {
        const { stored, status, code } = await fill(client);
        expect({ status, code }).toEqual({ status: 507, code: "STORAGE_FULL" });
        expect(stored.length).toBeGreaterThan(3);
        for (const digest of stored)
          expect(digestOf((await client.send("GET", `/blobs/${digest}`)).bytes)).toBe(digest);
        expect(readdirSync(join(directory, "disk/tmp"))).toEqual([]);
        expect((await client.send("GET", "//livez")).status).toBe(200);
        rmSync(join(directory, "disk/ballast"));
        await expect.poll(async () => (await client.send("GET", "//readyz")).status, { timeout: 10_000 }).toBe(200);
        expect((await client.put("when there is room again")).producer).toBe("test");
        for (const digest of stored) expect((await client.send("HEAD", `/blobs/${digest}`)).status).toBe(200);
      });
    },
  );
});

describe("a damaged index", () => {
  test("is repaired at the start, and the server goes on", async () => {
    await using first = await startTestServer();
    const client = await first.client("main");
    for (let number = 0; number < 5; number += 1) await client.put(`before ${number}`);
    await first.stop();
    const index = join(first.data, "index");
    const manifest = readdirSync(index).find((name) => name.startsWith("MANIFEST-")) ?? "";
    writeFileSync(join(index, manifest), "no manifest");
    await using again = await startTestServer({ data: first.data });
    const later = createClient(again.url, client.token);
    const record = await later.put("after");
    expect((await later.send("GET", `/records/${record.key}`)).status).toBe(200);
    for (let number = 0; number < 5; number += 1) {
      const found = await later.send("GET", `/records/${keyOf(`before ${number}`)}`);
      if (found.status !== 200) continue;
      const { digest } = found.body.record.layer.descriptor;
      expect(digestOf((await later.send("GET", `/blobs/${digest}`)).bytes)).toBe(digest);
    }
  });
});

describe("TLS", () => {
  test("is spoken with a certificate", async () => {
    const [cert, key] = [join(directory, "cert.pem"), join(directory, "key.pem")];
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
    execFileSync(
      "openssl",
      ["req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", key, "-out", cert, "-days", "2", ...subject],
      {
        stdio: "ignore",
      },
    );
    await using server = await startTestServer({ tlsCert: cert, tlsKey: key });
    expect(server.url).toMatch(/^https:/);
    const ca = execFileSync("cat", [cert]);
    const status = await new Promise((resolve, reject) => {
      sendHttps(`${server.url}/livez`, { ca }, (response) => resolve(response.resume().statusCode))
        .on("error", reject)
        .end();
    });
    expect(status).toBe(200);
  });
});

describe("rate limits", () => {
  test("hold one token back, and not the next", async () => {
    await using server = await startTestServer({ rate: 1, burst: 5 });
    const [busy, calm] = [await server.client("main"), await server.client("dev/ann")];
    const statuses: number[] = [];
    for (let count = 0; count < 8; count += 1) statuses.push((await busy.send("GET", "/whoami")).status);
    expect(statuses.slice(0, 5)).toEqual([200, 200, 200, 200, 200]);
    const refused = await busy.send("GET", "/whoami");
    expect(refused).toMatchObject({ status: 429, body: { error: { code: "RATE_LIMITED" } } });
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    expect((await calm.send("GET", "/whoami")).status).toBe(200);
  });

  test("stop those who guess tokens, and nobody else", async () => {
    await using server = await startTestServer();
    const client = await server.client("main");
    const guesses = Array.from({ length: 80 }, () => {
      const guess = `varve_${randomBytes(8).toString("hex")}_${randomBytes(32).toString("base64url")}`;
      return createClient(server.url, guess).send("GET", "/whoami");
    });
    const statuses = (await Promise.all(guesses)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 401).length).toBeGreaterThanOrEqual(50);
    expect(statuses).toContain(429);
    expect((await client.send("GET", "/whoami")).status).toBe(200);
  });
});

describe("what the server tells", () => {
  test("of itself has no secrets in it", async () => {
    const token = await createTestToken(directory, "main");
    const server = await start("--log-level", "debug");
    const client = createClient(server.url, token);
    await client.put("logged");
    await createClient(server.url, `${token.slice(0, -3)}AAA`).send("GET", "/whoami");
    await client.send("POST", "/token", { grant_type: "x", subject_token: "secret.secret.secret" });
    await client.send("DELETE", `/leases/${keyOf("x")}?token=leasesecret`);
    await server.end("SIGTERM");
    const log = server.log.join("\n");
    expect(log).toContain('"route":"/varve/v1/records/:key"');
    for (const secret of [token.slice(23, 60), "secret.secret", "leasesecret", "Bearer"])
      expect(log).not.toContain(secret);
  });

  test("counts what happened, in metrics and stats, also after a restart", async () => {
    await using server = await startTestServer();
    const client = await server.client("main");
    const record = await client.put("counted");
    await client.send("GET", `/records/${record.key}`);
    await client.send("GET", `/records/${keyOf("not there")}`);
    await client.send("PUT", `/records/${record.key}`, { ...record, layer: undefined });
    const report = {
      id: "b1",
      project: "shop",
      target: "image",
      startedAt: "2026-01-01T00:00:00Z",
      duration: 10,
      outcome: "built",
      steps: [{ name: "RUN make", state: "ran", duration: 9, reason: "files of the context changed" }],
      bytesSaved: 1000,
      timeSaved: 50,
    };
    expect((await client.send("POST", "/builds", report)).status).toBe(201);
    const metrics = (await client.send("GET", "//metrics")).bytes.toString();
    for (const [result, count] of [
      ["hit", 1],
      ["miss", 1],
      ["stored", 1],
      ["conflict", 1],
    ] as const)
      expect(metrics).toContain(`varve_cache_records_total{result="${result}"} ${count}`);
    const counts = { hits: 1, misses: 1, stored: 1, conflicts: 1, bytesSaved: 1000, timeSaved: 50, builds: 1 };
    const stats = (await client.send("GET", "/stats")).body;
    expect(stats.totals).toMatchObject(counts);
    expect(stats.hours).toHaveLength(1);
    expect(stats.hotKeys).toMatchObject([
      { key: record.key, hits: 1, name: "RUN make counted", lane: "main", duration: 1234 },
    ]);
    expect((await client.send("GET", "/builds")).body.builds).toMatchObject([
      { project: "shop", counts: { ran: 1, waited: 0 } },
    ]);
    expect((await client.send("GET", "/builds/b1")).body.steps).toEqual(report.steps);
    await server.stop();
    await using again = await startTestServer({ data: server.data });
    expect((await createClient(again.url, client.token).send("GET", "/stats")).body.totals).toMatchObject(counts);
  });

  test("keeps metrics for those with a token where it is told to", async () => {
    await using server = await startTestServer({ metricsToken: true });
    expect((await server.stranger.send("GET", "//metrics")).status).toBe(401);
    expect((await (await server.client("main")).send("GET", "//metrics")).status).toBe(200);
    expect((await server.stranger.send("GET", "//livez")).status).toBe(200);
  });
});

describe("the command line", () => {
  function run(...args: readonly string[]): {
    readonly status: number | null;
    readonly stdout: string;
    readonly stderr: string;
  } {
    const { status, stdout, stderr } = spawnSync(process.execPath, [...MAIN_SCRIPT, ...args], {
      encoding: "utf8",
      timeout: 30_000,
    });
    return { status, stdout, stderr };
  }

  test("makes, lists and revokes tokens, which the server then knows", async () => {
    const made = run("token", "create", "--data", directory, "--name", "ann", "--lane", "dev/ann", "--expires", "1d");
    expect(made.stdout).toMatch(/^varve_[0-9a-f]{16}_[\w-]{43}\n$/);
    const token = made.stdout.trim();
    const listed = run("token", "list", "--data", directory).stdout;
    expect(listed).toMatch(/valid\s+ann\s+dev\/ann\s+dev\/ann,main\s+write\s+2\d\d\d-/);
    expect(listed).not.toContain(token.slice(30));
    const server = await start();
    expect((await createClient(server.url, token).send("GET", "/whoami")).body).toMatchObject({ lane: "dev/ann" });
    expect(run("token", "revoke", "--data", directory, token.split("_")[1] ?? "").status).toBe(0);
    expect(run("token", "list", "--data", directory, "--json").stdout).toContain('"revokedAt": "2');
    await expect.poll(async () => (await createClient(server.url, token).send("GET", "/whoami")).status).toBe(401);
  });

  test("purges what is in the directory of a server that is stopped, and no other", async () => {
    const token = await createTestToken(directory, "main");
    const server = await start();
    await createClient(server.url, token).put("purged");
    const locked = run("purge", "--data", directory, "--lane", "main");
    expect(locked).toMatchObject({ status: 1, stderr: expect.stringContaining("STORAGE_LOCKED") as string });
    await server.end("SIGTERM");
    const purged = run("purge", "--data", directory, "--written-by", token.split("_")[1] ?? "", "--since", "1h");
    expect(purged).toEqual({ status: 0, stdout: "removed 1 record, 0 cache mounts\n", stderr: "" });
    expect(run("key", "rotate", "--data", directory).stdout).toMatch(/^[0-9a-f]{16}\n$/);
    const again = createClient((await start()).url, token);
    const { keys } = (await again.send("GET", "/keys")).body;
    expect(keys).toMatchObject([{}, { retiredAt: expect.stringMatching(/^2/) as string }]);
  });

  test.each<[readonly string[], number, string]>([
    [["--budgt", "1"], 2, "Did you mean --budget?"],
    [["tokn"], 2, "Did you mean token?"],
    [["token", "create"], 2, "--name"],
    [["token", "create", "--name", "x", "--lane", "nowhere"], 2, 'Cannot use lane "nowhere"'],
    [["token", "create", "--name", "x", "--lane", "pr/1", "--read", "pr/1,pr/2"], 2, "does not go up"],
    [["token", "revoke", "0123456789abcdef"], 1, "NOT_FOUND"],
    [["purge"], 2, "nothing says what"],
    [["--port", "99999"], 2, '"port"'],
    [["--config", "/nowhere/settings.json"], 2, "settings.json"],
  ])("refuses %j", (args, status, message) => {
    const data = ["token", "purge"].includes(args[0] ?? "") ? ["--data", directory] : [];
    const answer = run(...args, ...data);
    expect(answer.stderr).toContain(message);
    expect(answer.status).toBe(status);
  });

  test("prints help and the settings' schema", () => {
    expect(run("help").stdout).toContain("varve-cache token create");
    expect(JSON.parse(run("schema").stdout)).toMatchObject({ properties: { budget: { default: "20GB" } } });
  });
});
