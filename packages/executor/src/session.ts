import type { Semaphore } from "@varve/oci";
import type { BuildCache, LocalStore, RecordLayer } from "@varve/cache";
import type { CacheKey } from "@varve/cache";
import type { ContextSource } from "./context/context-tree.ts";
import type { OpenContext } from "./context/open-context.ts";
import type { OnBuildEvent } from "./events.ts";
import type { Explainer } from "./explain/explainer.ts";
import type { Layers } from "./layers.ts";
import type { TravellingMounts } from "./mounts/travelling-mounts.ts";
import type { RunPlaces } from "./run-places.ts";
import type { Runner } from "./runner.ts";
import type { Snapshotter } from "./snapshotter.ts";

/** Where a secret's bytes are. */
export type SecretSource =
  | { readonly type: "file"; readonly path: string }
  | { readonly type: "env"; readonly name: string };

/** How layers are compressed. `force` compresses the base's layers again as well, at export. */
export interface Compression {
  readonly type: "gzip" | "zstd" | "none";
  readonly level?: number;
}

/** What a build is handed. */
export interface BuildOptions {
  readonly store: LocalStore;
  /** Where records and blobs are looked for and put: the store, and the caches of others behind it. */
  readonly cache: BuildCache;
  /** By name; "" is the main context. */
  readonly contexts: ReadonlyMap<string, ContextSource>;
  readonly runner: "auto" | Runner["name"];
  readonly snapshotter: "auto" | Snapshotter["name"];
  readonly secrets: ReadonlyMap<string, SecretSource>;
  /** Agent sockets by id; `default` is the usual one. */
  readonly ssh: ReadonlyMap<string, string>;
  /** Steps that run at once. */
  readonly concurrency: number;
  /** Seconds since 1970 for what has no time of its own, and for the image's dates; undefined: now. */
  readonly epoch: number | undefined;
  readonly compression: Compression;
  /** Varve's version, and where known the CI run or host. */
  readonly producer: string;
  /** Names the builds that this one is compared with to explain misses; undefined: those of the same main context. */
  readonly lineage?: string;
  /** Cache mounts that are shared with other machines; undefined: none. */
  readonly travellingMounts?: TravellingMounts;
  readonly signal: AbortSignal;
  readonly onEvent: OnBuildEvent;
}

/** What all steps of one build share. */
export interface Session {
  readonly options: BuildOptions;
  readonly layers: Layers;
  readonly explainer: Explainer;
  readonly semaphore: Semaphore;
  runner(): Promise<Runner>;
  /** Closes the runner where there was one: no step needs it any more. */
  closeRunner(): Promise<void>;
  snapshotter(): Promise<Snapshotter>;
  readonly runPlaces: RunPlaces;
  /** @throws StepError `CONTEXT_INVALID` where there is none of this name. */
  context(name: string): OpenContext;
  /** Whether layers may be packed while their files are read to be keyed. */
  readonly packsEarly: boolean;
  /** Work that nobody waits for; the build does not end before it. */
  readonly background: Set<Promise<unknown>>;
  /** Work that serves later builds only: it is done while the image is exported. */
  readonly afterwards: (() => Promise<void>)[];
  /** Steps that are being made now, by key: two platforms' graphs make a common step once. */
  readonly making: Map<CacheKey, Promise<MadeLayer>>;
}

/** A layer that a step made or found, with when. */
export interface MadeLayer {
  readonly layer: RecordLayer;
  /** RFC 3339. */
  readonly createdAt: string;
}

/** 1980-01-01: what has no time of its own gets this one where no epoch is given. The earliest that zip archives can hold, so that tools which pack such files do not fail. */
const DEFAULT_EPOCH = 315_532_800;

/** Nanoseconds since 1970 for directories and files that no source dates: a build's bytes must not depend on when it runs. */
export function undatedTime(epoch: number | undefined): bigint {
  return BigInt(epoch ?? DEFAULT_EPOCH) * 1_000_000_000n;
}
