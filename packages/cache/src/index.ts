export { type CacheCounts, type FinishOptions, openBuildCache, type OpenBuildCache } from "./build-cache.ts";
export { CacheError, type CacheErrorCode } from "./errors.ts";
export { type OciCacheOptions, openOciCache } from "./oci/oci-cache.ts";
export { openLocalStore, type LocalStoreOptions } from "./local-store.ts";
export { createMemoryCache, createMemoryMemo } from "./memory-cache.ts";
export {
  type BuildCache,
  type Cache,
  type CacheIndex,
  type Evicted,
  type EvictOptions,
  type FoundRecord,
  type Lease,
  type LocalStore,
  type Memo,
  type MountCache,
  type PutOptions,
  type PutOutcome,
  type RecordSource,
  type RemoteCache,
  type TransferCounts,
  type Turn,
} from "./ports.ts";
export { type CacheKey, type CacheRecord, type RecordLayer } from "./record.ts";
export {
  parseLayer,
  parseLayersResponse,
  parseMountState,
  parseRecord,
  parseRecordsResponse,
  parseSignedRecord,
  parseVerifyKeys,
} from "./remote/parse-protocol.ts";
export {
  type BuildReport,
  type ErrorResponse,
  type JsonValue,
  type Lane,
  type LayersResponse,
  type LeaseResponse,
  type LeaseWaitResponse,
  type MountState,
  PROTOCOL_LIMITS,
  PROTOCOL_PATH,
  type PutRecordResponse,
  type RecordsResponse,
  type ReportedStep,
  type ResolveRequest,
  type ResolveStep,
  type RootfsNode,
  type RootfsRef,
  type SignedRecord,
  type TokenResponse,
  type UploadPart,
  type UploadRequest,
  type UploadState,
  type VerifyKey,
} from "./remote/protocol.ts";
export { type BlobSegment } from "./remote/blob-parts.ts";
export { forgetServerKeys } from "./remote/pinned-keys.ts";
export { openServerCache, type ServerCache, type ServerCacheOptions } from "./remote/server-cache.ts";
export { createTokenSource } from "./remote/token.ts";
export { type Server } from "./remote/transport.ts";
export { signatureInput, signRecord, type UnsignedRecord, verifyRecord } from "./remote/record-signature.ts";
export { diskUsage } from "./stored-items.ts";
