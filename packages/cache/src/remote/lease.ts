import { hostname } from "node:os";
import type { TransferOptions } from "@varve/oci";
import type { Lease } from "../ports.ts";
import type { CacheKey } from "../record.ts";
import { parseSignedRecord } from "./parse-protocol.ts";
import type { SignedRecord } from "./protocol.ts";
import { readJson, type Server, ServerFailure, sendToServer } from "./transport.ts";

/** How long a lease holds without a word of its holder: milliseconds. A dead builder costs the others no more. */
const TTL = 15_000;
/** A lease that can't be given back soon ends by itself: milliseconds. */
const END_TIMEOUT = 2_000;
/** One request of a wait: milliseconds. */
const POLL = 30_000;

export interface LeaseOptions {
  readonly key: CacheKey;
  /** @throws CacheError where the record was not signed by the server. */
  readonly check: (record: SignedRecord) => Promise<void>;
}

/** Asks for the lease of a key. docs/protocol.md, "Single flight". */
export async function requestLease(server: Server, { key, check }: LeaseOptions): Promise<Lease> {
  const holder = `${hostname()} ${process.pid}`;
  const response = await sendToServer(server, `/leases/${key}`, { method: "POST", json: { ttl: TTL, holder } });
  const answer = (await readJson(response)) as Readonly<Record<string, unknown>>;
  if (answer["record"] !== undefined) {
    const signed = parseSignedRecord(answer["record"]);
    await check(signed);
    return { type: "made", record: signed.record };
  }
  const { granted, token, ttl } = answer;
  if (granted === false) return { type: "held", wait: (options) => waitForLease(server, key, options) };
  if (granted === true && typeof token === "string" && typeof ttl === "number")
    return holdLease(server, { key, token, ttl });
  throw new ServerFailure("Cannot take a lease: the server's answer has another form", {});
}

/** A lease is advice: one that is lost or can't be extended changes nothing here. */
function holdLease(
  server: Server,
  { key, token, ttl }: { readonly key: CacheKey; readonly token: string; readonly ttl: number },
): Lease {
  const extend = async (): Promise<void> => {
    const response = await sendToServer(server, `/leases/${key}`, {
      method: "PUT",
      json: { token, ttl },
      accept: [404],
    }).catch(() => undefined);
    await response?.body?.cancel();
  };
  const heart = setInterval(() => void extend(), ttl / 3);
  heart.unref();
  return {
    type: "granted",
    async end() {
      clearInterval(heart);
      const path = `/leases/${key}?token=${encodeURIComponent(token)}`;
      const response = await sendToServer(server, path, { method: "DELETE", accept: [404], timeout: END_TIMEOUT });
      await response.body?.cancel();
    },
  };
}

/** Settles when the record is there, or its lease is free. */
async function waitForLease(server: Server, key: CacheKey, { signal }: TransferOptions): Promise<void> {
  for (;;) {
    const response = await sendToServer(server, `/leases/${key}/wait?timeout=${POLL}`, {
      timeout: POLL + 10_000,
      signal,
    });
    const { state } = (await readJson(response)) as { readonly state?: unknown };
    if (state !== "held") return;
  }
}
