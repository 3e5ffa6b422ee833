import type { Digest } from "@varve/oci";
import type { CacheKey, CacheRecord, RecordLayer } from "../record.ts";

/** What every path of the protocol begins with; docs/protocol.md describes it. */
export const PROTOCOL_PATH = "/varve/v1";

/** Largest counts that a server takes in one request. */
export const PROTOCOL_LIMITS = {
  /** Of `records/lookup`, `layers/lookup` and `blobs/missing`. */
  digests: 1000,
  /** Of `resolve`. */
  steps: 1000,
  /** Of `resolve`, and of layers in each. */
  roots: 200,
  /** Of `blobs/DIGEST/ranges`. */
  ranges: 4096,
  /** Of an upload. */
  parts: 100_000,
} as const;

/** A JSON value as it stands in a step definition. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

/** A namespace of records that the token decides: `main`, `branch/NAME`, `dev/NAME`, `pr/NUMBER`. */
export type Lane = string;

/** A record as a server gives it: who wrote it, into which lane, under the server's signature. */
export interface SignedRecord {
  readonly record: CacheRecord;
  readonly lane: Lane;
  readonly principal: string;
  /** RFC 3339. */
  readonly signedAt: string;
  /** Which of the server's keys signed. */
  readonly keyId: string;
  /** Ed25519 over `signatureInput`, in base64. */
  readonly signature: string;
}

/** A key that a server signs or has signed with. */
export interface VerifyKey {
  readonly keyId: string;
  /** 32 bytes in base64. RFC 8032, section 5.1.5. */
  readonly publicKey: string;
  /** RFC 3339. */
  readonly createdAt: string;
  /** RFC 3339; since then the server signs with another. */
  readonly retiredAt?: string;
}

/** A rootfs: that of a base image, or the one that a step leaves behind. Numbers count from 0. */
export type RootfsNode = { readonly root: number } | { readonly step: number };

/** A digest that the server learns itself: of the rootfs of a node. */
export interface RootfsRef {
  readonly rootfs: RootfsNode;
}

/** One step of `resolve`. It may refer to steps before it only. */
export type ResolveStep = (
  | { readonly stepDigest: Digest }
  | { readonly definition: JsonValue; readonly inputs: readonly (Digest | RootfsRef)[] }
) & {
  /** Null for a step that depends on nothing beneath. */
  readonly parent: Digest | RootfsRef | null;
  /** The rootfs that its layer is added to. */
  readonly over: RootfsNode;
};

/** The steps of a build, in an order in which each stands behind those it needs. */
export interface ResolveRequest {
  /** Layer ids of base images, oldest first. */
  readonly roots: readonly (readonly Digest[])[];
  readonly steps: readonly ResolveStep[];
}

/** In the order of what was asked for; null where there is none. */
export interface RecordsResponse {
  readonly records: readonly (SignedRecord | null)[];
}

/** In the order of what was asked for; null where there is none. */
export interface LayersResponse {
  readonly layers: readonly (RecordLayer | null)[];
}

/** What putting a record came to: as `PutOutcome`, with the blobs that are to be sent first. */
export type PutRecordResponse =
  | { readonly outcome: "stored" | "same" }
  | { readonly outcome: "conflict"; readonly existing: SignedRecord };

/** A run of a blob's bytes. */
export interface UploadPart {
  readonly digest: Digest;
  /** In bytes; at least 1. */
  readonly size: number;
}

/** A blob that is to be sent by parts; these follow each other without a gap. */
export interface UploadRequest {
  readonly digest: Digest;
  readonly size: number;
  readonly parts: readonly UploadPart[];
}

/** An upload that is under way. */
export interface UploadState {
  readonly id: string;
  /** Positions of the parts that the server lacks, in order. */
  readonly missing: readonly number[];
  /** RFC 3339. */
  readonly expiresAt: string;
}

/** What asking for a lease came to. Times in RFC 3339, `ttl` in milliseconds. */
export type LeaseResponse =
  | { readonly granted: true; readonly token: string; readonly fence: number; readonly ttl: number }
  | { readonly granted: false; readonly holder: string; readonly since: string; readonly expiresAt: string }
  | { readonly record: SignedRecord };

/** What waiting for a lease came to. */
export type LeaseWaitResponse =
  | { readonly state: "record"; readonly record: SignedRecord }
  | { readonly state: "free" }
  | { readonly state: "held"; readonly holder: string; readonly since: string; readonly expiresAt: string };

/** The contents of a cache mount. */
export interface MountState {
  readonly layer: RecordLayer;
  /** RFC 3339. */
  readonly updatedAt: string;
}

/** How one step of a build went. Times in milliseconds. */
export interface ReportedStep {
  readonly name: string;
  readonly state: "hit-local" | "hit-remote" | "waited" | "ran" | "failed";
  readonly duration: number;
  readonly key?: CacheKey;
  /** Why it missed. */
  readonly reason?: string;
  /** Of its layer. */
  readonly bytes?: number;
}

/** A build as its client reports it, for the dashboard. Times in milliseconds. */
export interface BuildReport {
  /** Chosen by the client: letters, digits, `-`, `_`, `.`; at most 64. */
  readonly id: string;
  readonly project: string;
  readonly target: string;
  /** RFC 3339. */
  readonly startedAt: string;
  readonly duration: number;
  readonly outcome: "built" | "failed" | "cancelled";
  readonly steps: readonly ReportedStep[];
  /** Bytes of layers that were not made again. */
  readonly bytesSaved: number;
  /** What the steps that hit had taken when they ran. */
  readonly timeSaved: number;
}

/** What a token exchange gives. RFC 8693, section 2.2.1. */
export interface TokenResponse {
  readonly access_token: string;
  readonly token_type: "Bearer";
  readonly issued_token_type: "urn:ietf:params:oauth:token-type:access_token";
  /** Seconds. */
  readonly expires_in: number;
  readonly principal: string;
  readonly lane: Lane | null;
  readonly readChain: readonly Lane[];
}

/** How a server tells what went wrong. */
export interface ErrorResponse {
  readonly error: {
    /** From docs/errors.md, `ServerError`. */
    readonly code: string;
    readonly message: string;
    readonly hint?: string;
  };
  /** Of `BLOBS_MISSING`: the digests that are to be sent first. */
  readonly missing?: readonly Digest[];
}
