/**
 * Load on the cache server over loopback: `npm run bench:server [-- --write]`. Needs wrk. With --write the numbers go to
 * docs/bench/server.json.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { cacheKey, rootfsDigest, stepDigest } from "@varve/cache-key";
import { type CacheRecord, PROTOCOL_PATH } from "@varve/cache";
import { type Digest, digestOf } from "@varve/oci";

const ROOT = join(import.meta.dirname, "..");
const SECONDS = 5;
const CHAIN = 30;
const BLOB_BYTES = 256 * 1024 * 1024;
const UPLOADS = Number(process.env["BENCH_UPLOADS"] ?? 50);
const UPLOAD_BYTES = Number(process.env["BENCH_UPLOAD_BYTES"] ?? 1024 ** 3);

interface Running {
  readonly url: string;
  readonly child: ChildProcess;
}

async function startServer(data: string): Promise<Running> {
  const bin = join(ROOT, "apps/cache-server/bin/varve-cache.js");
  const settings = ["--port", "0", "--data", data, "--anonymous", "write", "--budget", "200GB", "--rate", "0"];
  const child = spawn(process.execPath, [bin, ...settings, "--log-level", "error"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [url] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  return { url, child };
}

async function send(url: string, method: string, body: unknown): Promise<Response> {
  const isBytes = body instanceof Uint8Array;
  const type = isBytes ? "application/octet-stream" : "application/json";
  const payload = isBytes ? Buffer.from(body) : JSON.stringify(body);
  const response = await fetch(url, { method, headers: { "content-type": type }, body: payload });
  if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${await response.text()}`);
  return response;
}

async function pushBlob(base: string, bytes: Uint8Array): Promise<Digest> {
  const digest = digestOf(bytes);
  await send(`${base}/blobs/${digest}`, "PUT", bytes);
  return digest;
}

/** A record as a RUN of a real image leaves it: some 1.5 kB of JSON. */
function makeRecord(key: Digest, blobs: readonly [Digest, Digest], number: number): CacheRecord {
  const env = Object.fromEntries(
    Array.from({ length: 8 }, (_, each) => [`definition.env.${each}`, `NAME_${each}=${"v".repeat(40)}`]),
  );
  return {
    key,
    layer: {
      descriptor: { mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: blobs[0], size: 1000 },
      diffId: digestOf(Buffer.from(`diff ${number}`)),
      contentDigest: digestOf(Buffer.from(`content ${number}`)),
      index: { mediaType: "application/vnd.varve.layer-index.v1", digest: blobs[1], size: 100 },
    },
    ingredients: {
      "definition.kind": "run",
      "definition.args": `["/bin/sh","-c","make ${number}"]`,
      ...env,
      parent: key,
    },
    createdAt: "2026-01-01T00:00:00.000Z",
    duration: 1234,
    producer: "bench",
  };
}

/** Puts a chain of steps, each on the one before; gives the request that resolves it. */
async function putChain(base: string): Promise<{ readonly request: unknown; readonly key: Digest }> {
  const root = [digestOf(Buffer.from("base"))];
  const rootfs: Digest[] = [...root];
  const steps: unknown[] = [];
  let key: Digest = digestOf(Buffer.from(""));
  for (let number = 0; number < CHAIN; number += 1) {
    const step = stepDigest({ definition: { number }, inputs: [] });
    key = cacheKey(step, rootfsDigest(rootfs));
    const blobs = [await pushBlob(base, randomBytes(1000)), await pushBlob(base, randomBytes(100))] as const;
    const record = makeRecord(key, blobs, number);
    await send(`${base}/records/${key}`, "PUT", record);
    const node = number === 0 ? { root: 0 } : { step: number - 1 };
    steps.push({ stepDigest: step, parent: { rootfs: node }, over: node });
    rootfs.push(digestOf(Buffer.from(`content ${number}`)));
  }
  const { records } = (await (await send(`${base}/resolve`, "POST", { roots: [root], steps })).json()) as {
    records: unknown[];
  };
  if (records.some((record) => record === null)) throw new Error("the chain does not resolve");
  return { request: { roots: [root], steps }, key };
}

interface Load {
  readonly requestsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly p99Ms: number;
  /** Per second of processor time that the server took: what it does where other work leaves it a core. */
  readonly requestsPerCpuSecond: number;
  readonly bytesPerCpuSecond: number;
}

/** Seconds of processor time of a process; proc(5), /proc/pid/stat, fields 14 and 15, in hundredths. */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

interface WrkOptions {
  readonly pid: number;
  readonly connections: number;
  /** Lua. */
  readonly script?: string;
}

/** What wrk measures. */
function runWrk(url: string, { pid, connections, script }: WrkOptions): Load {
  const directory = mkdtempSync(join(tmpdir(), "bench-"));
  const file = join(directory, "wrk.lua");
  const report = `done = function(s, l, r) io.write(string.format("RESULT %d %d %d %d %d", s.requests, s.duration, s.bytes, l:percentile(99), s.errors.status + s.errors.connect + s.errors.read + s.errors.timeout)) end`;
  writeFileSync(file, `${script ?? ""}\n${report}\n`);
  const args = ["-t1", `-c${connections}`, `-d${SECONDS}s`, "--timeout", "60s", "-s", file, url];
  const cpuBefore = cpuSeconds(pid);
  const output = execFileSync("wrk", args, { encoding: "utf8" });
  rmSync(directory, { recursive: true });
  const [, requests = 0, microseconds = 1, bytes = 0, p99 = 0, errors = 0] = (
    /RESULT (\d+) (\d+) (\d+) (\d+) (\d+)/.exec(output) ?? []
  ).map(Number);
  if (errors > 0) throw new Error(`${errors} requests failed\n${output}`);
  const seconds = microseconds / 1e6;
  const cpu = cpuSeconds(pid) - cpuBefore;
  return {
    requestsPerSecond: Math.round(requests / seconds),
    bytesPerSecond: Math.round(bytes / seconds),
    p99Ms: p99 / 1000,
    requestsPerCpuSecond: Math.round(requests / cpu),
    bytesPerCpuSecond: Math.round(bytes / cpu),
  };
}

/** The best of three runs: other work on the machine only makes them slower. */
function best(measure: () => Load): Load {
  const runs = [1, 2, 3].map(measure);
  return runs.reduce((a, b) => (b.requestsPerSecond > a.requestsPerSecond ? b : a));
}

/** Resident memory of a process in bytes; proc(5), /proc/pid/status. */
function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
}

/** Sends one blob of `size` random-looking bytes, which are made as they go. */
async function uploadLarge(base: string, size: number, seed: number): Promise<void> {
  const chunk = Buffer.alloc(1024 * 1024, seed + 1);
  const digester = createHash("sha256");
  for (let sent = 0; sent < size; sent += chunk.length) digester.update(chunk);
  const digest = `sha256:${digester.digest("hex")}`;
  const upload = request(`${base}/blobs/${digest}`, {
    method: "PUT",
    headers: { "content-type": "application/octet-stream", "content-length": size },
  });
  const answered = once(upload, "response");
  for (let sent = 0; sent < size; sent += chunk.length) if (!upload.write(chunk)) await once(upload, "drain");
  upload.end();
  const [response] = (await answered) as [import("node:http").IncomingMessage];
  response.resume();
  if (response.statusCode !== 201) throw new Error(`upload: ${response.statusCode}`);
}

async function measureUploads(
  base: string,
  pid: number,
): Promise<{ readonly peakRss: number; readonly bytesPerSecond: number; readonly bytesPerCpuSecond: number }> {
  let peakRss = 0;
  const over = new AbortController();
  const watch = (async () => {
    while (!over.signal.aborted) {
      peakRss = Math.max(peakRss, residentBytes(pid));
      await setTimeout(100);
    }
  })();
  const started = performance.now();
  const cpuBefore = cpuSeconds(pid);
  await Promise.all(Array.from({ length: UPLOADS }, (_, seed) => uploadLarge(base, UPLOAD_BYTES, seed)));
  const seconds = (performance.now() - started) / 1000;
  over.abort();
  await watch;
  const bytes = UPLOADS * UPLOAD_BYTES;
  const cpu = cpuSeconds(pid) - cpuBefore;
  return { peakRss, bytesPerSecond: Math.round(bytes / seconds), bytesPerCpuSecond: Math.round(bytes / cpu) };
}

async function main(): Promise<void> {
  const parent = process.env["BENCH_DIRECTORY"] ?? tmpdir();
  mkdirSync(parent, { recursive: true });
  const uploads = await withServer(parent, async (base, pid) => {
    const idleRss = residentBytes(pid);
    return { count: UPLOADS, size: UPLOAD_BYTES, idleRss, ...(await measureUploads(base, pid)) };
  });
  const loads = await withServer(parent, async (base, pid) => {
    const chain = await putChain(base);
    const body = JSON.stringify(chain.request).replaceAll("'", String.raw`\'`);
    const script = `wrk.method = "POST"\nwrk.body = '${body}'\nwrk.headers["content-type"] = "application/json"`;
    const resolve = best(() => runWrk(`${base}/resolve`, { pid, connections: 16, script }));
    const record = best(() => runWrk(`${base}/records/${chain.key}`, { pid, connections: 32 }));
    const large = await pushBlob(base, randomBytes(BLOB_BYTES));
    const blob = best(() => runWrk(`${base}/blobs/${large}`, { pid, connections: 4 }));
    return {
      resolve: { steps: CHAIN, ...resolve },
      record,
      blob: { size: BLOB_BYTES, ...blob },
      rssAfter: residentBytes(pid),
    };
  });
  const { versions } = process;
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, node: versions.node, loadAverage: loadavg()[0] };
  const text = `${JSON.stringify({ date: new Date().toISOString().slice(0, 10), machine, ...loads, uploads }, undefined, 2)}\n`;
  process.stdout.write(text);
  if (!process.argv.includes("--write")) return;
  mkdirSync(join(ROOT, "docs/bench"), { recursive: true });
  writeFileSync(join(ROOT, "docs/bench/server.json"), text);
}

/** Gives a new server's address and process id to `measure`; all that it kept is removed. */
async function withServer<T>(parent: string, measure: (base: string, pid: number) => Promise<T>): Promise<T> {
  const data = mkdtempSync(join(parent, "bench-server-"));
  const { url, child } = await startServer(data);
  try {
    return await measure(`${url}${PROTOCOL_PATH}`, child.pid ?? 0);
  } finally {
    child.kill("SIGTERM");
    await once(child, "exit");
    rmSync(data, { recursive: true, force: true });
  }
}

await main();
