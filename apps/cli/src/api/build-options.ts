import type { BuildEvent } from "./build-event.ts";

/** Names and values, or a list of `NAME=VALUE`. */
export type Pairs = Readonly<Record<string, string | number | boolean>> | readonly string[];

/**
 * What `build()` is given: the flags of `varve build` in camelCase, with the same meaning. Relative paths are relative
 * to the current directory. A member that is undefined counts as absent.
 */
export interface BuildOptions {
  /** Directory of the build context; default ".". */
  readonly context?: string | undefined;
  /** Path of the Dockerfile; default `Dockerfile` in the context. */
  readonly file?: string | undefined;
  /** Names of the image: `NAME[:TAG]`. */
  readonly tag?: string | readonly string[] | undefined;
  /** The stage to build; default the last. */
  readonly target?: string | undefined;
  /** Values of ARG; null takes the value from the environment. */
  readonly buildArg?: Readonly<Record<string, string | number | boolean | null>> | readonly string[] | undefined;
  /** Further build contexts: a path, or another image for a name (`docker-image://…`, `oci-layout://…`). */
  readonly buildContext?: Pairs | undefined;
  /** Such as `linux/arm64`; default the machine's. */
  readonly platform?: string | readonly string[] | undefined;
  /** Where the image goes, such as `type=oci,dest=app.tar`; default: it stays in the store. */
  readonly output?: string | readonly string[] | undefined;
  /** The same as the output `type=registry`. */
  readonly push?: boolean | undefined;
  /** The same as the output `type=docker`. */
  readonly load?: boolean | undefined;
  readonly label?: Pairs | undefined;
  /** `[TYPE:]KEY` and value. */
  readonly annotation?: Pairs | undefined;
  /** `id=ID[,src=FILE|env=NAME]`. */
  readonly secret?: string | readonly string[] | undefined;
  /** `default` or `ID=SOCKET`. */
  readonly ssh?: string | readonly string[] | undefined;
  /** URL of a cache server to share layers with; `VARVE_CACHE_TOKEN` is its token. */
  readonly cache?: string | undefined;
  /** Caches to read: `type=registry,ref=REF`, `type=local,src=DIR`. */
  readonly cacheFrom?: string | readonly string[] | undefined;
  /** Ids of cache mounts that go by the cache server to other machines; `*` is all. */
  readonly cacheMounts?: string | readonly string[] | undefined;
  /** Caches to write: `type=registry,ref=REF`, `type=local,dest=DIR`, with `mode=min|max`. */
  readonly cacheTo?: string | readonly string[] | undefined;
  /** What is sent to the cache server: `background[=SECONDS]`, `wait[=SECONDS]` or `none`. */
  readonly cacheUpload?: string | undefined;
  /** Public keys of the cache server, in base64, that alone are trusted. */
  readonly cacheVerifyKey?: string | readonly string[] | undefined;
  /** Runs every step again. */
  readonly noCache?: boolean | undefined;
  /** Stages whose steps run again. */
  readonly noCacheFilter?: string | readonly string[] | undefined;
  /** Looks every base image up at its registry, or fails. */
  readonly pull?: boolean | undefined;
  /** The directory where layers, images and the cache are; default `VARVE_STORE`, else the user's cache directory. */
  readonly store?: string | undefined;
  readonly compression?: "gzip" | "zstd" | "uncompressed" | undefined;
  /** The network of RUN steps. */
  readonly network?: "default" | "host" | "none" | undefined;
  /** Lines of /etc/hosts in RUN steps: names and addresses, or `NAME:ADDRESS`. */
  readonly addHost?: Pairs | undefined;
  /** Entitlements, such as `security.insecure`. */
  readonly allow?: string | readonly string[] | undefined;
  /** Size of /dev/shm in RUN steps: bytes, or with k, m, g. */
  readonly shmSize?: string | number | undefined;
  /** Limits of RUN steps: `{ nofile: "1024:2048" }`. */
  readonly ulimit?: Pairs | undefined;
  readonly runner?: "auto" | "runc" | "crun" | "unshare" | "chroot" | undefined;
  readonly snapshotter?: "auto" | "overlay" | "copy" | undefined;
  /** A file for the image's ID. */
  readonly iidfile?: string | undefined;
  /** A file for what was built, as JSON with buildx's keys. */
  readonly metadataFile?: string | undefined;
  /** A config whose options stand beneath these; default `none`: files are not looked for. */
  readonly config?: string | undefined;
  /** Told what the build does while it goes. What it throws ends the build, and comes out of `build()`. */
  readonly onEvent?: ((event: BuildEvent) => void) | undefined;
  /** Cancels the build, which then fails with the code `CANCELLED`. */
  readonly signal?: AbortSignal | undefined;
}
