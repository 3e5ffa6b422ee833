import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Evicted } from "../storage/eviction.ts";
import type { Leases } from "../leases.ts";
import type { Storage } from "../storage/open-storage.ts";

/** What Prometheus reads. */
export interface Metrics {
  readonly registry: Registry;
  /** An answered request: seconds it took. */
  request(labels: { readonly route: string; readonly method: string; readonly status: string }, seconds: number): void;
  records(result: "hit" | "miss" | "stored" | "same" | "conflict", count?: number): void;
  blobBytes(direction: "in" | "out", bytes: number): void;
  tokens(result: "exchanged" | "refused"): void;
}

/** Metrics of a server; names begin with `varve_cache_`. */
export function createMetrics(
  storage: Storage,
  options: { readonly budget: number; readonly leases: Leases },
): Metrics {
  const registers = [new Registry()];
  const [registry] = registers;
  if (registry === undefined) throw new Error("no registry");
  collectDefaultMetrics({ register: registry });
  const requests = new Histogram({
    name: "varve_cache_request_duration_seconds",
    help: "Time to answer a request, by route, method and status",
    labelNames: ["route", "method", "status"],
    buckets: [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60],
    registers,
  });
  const records = counter(registers, "records_total", "Records asked for and put, by result", ["result"]);
  const bytes = counter(registers, "blob_bytes_total", "Bytes of blobs, by direction", ["direction"]);
  const tokens = counter(registers, "token_exchanges_total", "OIDC tokens sent for exchange, by result", ["result"]);
  addGauges(registers, storage, options);
  return {
    registry,
    request: ({ route, method, status }, seconds) => requests.observe({ route, method, status }, seconds),
    records: (result, count = 1) => records.inc({ result }, count),
    blobBytes: (direction, count) => bytes.inc({ direction }, count),
    tokens: (result) => tokens.inc({ result }),
  };
}

function counter(registers: Registry[], name: string, help: string, labelNames: string[]): Counter {
  return new Counter({ name: `varve_cache_${name}`, help, labelNames, registers });
}

/** Gauges are read when they are asked for. */
function addGauges(
  registers: Registry[],
  storage: Storage,
  { budget, leases }: { readonly budget: number; readonly leases: Leases },
): void {
  const gauge = (name: string, help: string, read: () => number): void => {
    void new Gauge({
      name: `varve_cache_${name}`,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  };
  const evicted = (member: keyof Evicted) => () => storage.evicted()[member];
  gauge("stored_bytes", "Bytes of blobs and records that are stored", () => storage.totals().bytes);
  gauge("budget_bytes", "Bytes that may be stored", () => budget);
  gauge("blobs", "Blobs that are stored", () => storage.totals().blobs);
  gauge("records", "Records that are stored", () => storage.totals().records);
  gauge("uploads", "Uploads that are under way", () => storage.uploads.count());
  gauge("evicted_blobs", "Blobs evicted since the start", evicted("blobs"));
  gauge("evicted_bytes", "Bytes evicted since the start", evicted("bytes"));
  gauge("leases", "Leases that are held", () => leases.count());
  gauge("waiters", "Requests that wait for a record", () => leases.waiting());
}
