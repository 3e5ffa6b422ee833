import { resolve } from "node:path";
import {
  createTokenSource,
  type LocalStore,
  openBuildCache,
  type OpenBuildCache,
  openOciCache,
  openServerCache,
  type RemoteCache,
  type ServerCache,
} from "@varve/cache";
import { decodeLayerIndex } from "@varve/layer";
import { createLayout, openLayout, type Target } from "@varve/oci";
import { openRepository } from "@varve/registry";
import type { CacheWords, OciCacheWords } from "./cache-words.ts";

/** The caches of a build: what the executor is handed, and the server among them. */
export interface Caches {
  readonly cache: OpenBuildCache;
  readonly server: ServerCache | undefined;
  /** True where there is any cache beside the store. */
  readonly isShared: boolean;
}

export interface CachesOptions {
  readonly store: LocalStore;
  readonly onWarning: (message: string) => void;
}

/** Where varve's records are beside what other builders keep under a tag. docs/cache-format.md, "Records in a registry". */
const SUFFIX = "-varve";

/** Opens the store and the caches that the command line names behind it. */
export function openCaches(words: CacheWords, options: CachesOptions): Caches {
  for (const type of words.unknown)
    options.onWarning(
      `A cache of type=${type} is left out: varve has registry, local, and its own server (--cache URL)`,
    );
  const server = openServer(words, options);
  if (words.mounts.length > 0 && server === undefined)
    options.onWarning("Cache mounts stay on this machine: --cache-mounts needs a cache server (--cache URL)");
  const others = joinSame(words.others).map((each) => openOci(each, options));
  const remotes = [...(server === undefined ? [] : [server]), ...others];
  return { cache: openBuildCache({ ...options, remotes }), server, isShared: remotes.length > 0 };
}

function openServer(words: CacheWords, { store, onWarning }: CachesOptions): ServerCache | undefined {
  const { url, token, verifyKeys, upload } = words;
  if (url === undefined) return undefined;
  const { protocol, hostname } = new URL(url);
  if (protocol === "http:" && token !== undefined && !/^(?:localhost|127\..*|\[::1\])$/.test(hostname))
    onWarning(`The cache's token goes to ${hostname} without encryption: use https`);
  return openServerCache({
    server: { url, token: createTokenSource(url, token) },
    store,
    trustedKeys: verifyKeys,
    write: upload.mode !== "none",
    decodeSegments: (index) => decodeLayerIndex(index).segments,
  });
}

/** What is both read and written is one cache. */
function joinSame(all: readonly OciCacheWords[]): readonly (OciCacheWords & { readonly read: boolean })[] {
  const joined = new Map<string, OciCacheWords & { readonly read: boolean }>();
  for (const each of all) {
    const name = nameOf(each);
    const known = joined.get(name);
    const read = each.mode === undefined || known?.read === true;
    joined.set(name, { ...each, mode: each.mode ?? known?.mode, read });
  }
  return [...joined.values()];
}

function nameOf(words: OciCacheWords): string {
  if (words.type === "local") return `${resolve(words.path)}:${words.digest ?? words.tag}`;
  const { registry, repository, tag = "latest", digest } = words.reference;
  return `${registry}/${repository}:${digest ?? tag}`;
}

function openOci(words: OciCacheWords & { readonly read: boolean }, { onWarning }: CachesOptions): RemoteCache {
  const { mode, read } = words;
  const digest = words.type === "registry" ? words.reference.digest : words.digest;
  const tag = (words.type === "registry" ? words.reference.tag : words.tag) ?? "latest";
  return openOciCache({
    name: nameOf(words),
    openTarget: () => openTarget(words),
    place: digest ?? `${tag}${SUFFIX}`,
    read,
    write: mode === undefined ? undefined : { mode },
    onWarning,
  });
}

async function openTarget(words: OciCacheWords): Promise<Target> {
  if (words.type === "registry") return openRepository(words.reference);
  const path = resolve(words.path);
  return words.mode === undefined ? openLayout(path) : createLayout(path);
}
