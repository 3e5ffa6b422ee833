export { CacheError, type CacheErrorCode } from "./errors.ts";
export { openLocalStore, type LocalStoreOptions } from "./local-store.ts";
export { createMemoryCache, createMemoryMemo } from "./memory-cache.ts";
export { type Cache, type CacheIndex, type LocalStore, type Memo, type PutOptions, type PutOutcome } from "./ports.ts";
export { type CacheKey, type CacheRecord, type RecordLayer } from "./record.ts";
