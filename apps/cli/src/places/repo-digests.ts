import type { LocalStore } from "@varve/cache";
import { type Descriptor, familiarReference, hexOf, type Reference } from "@varve/oci";

const NAMESPACE = "repo-digests/1";

/** Remembers that a registry has a manifest or index. */
export async function rememberDigest(
  { digest }: Descriptor,
  { registry, repository }: Reference,
  store: LocalStore,
): Promise<void> {
  const known = await repoDigests({ digest }, store);
  const name = familiarReference({ registry, repository, digest });
  if (known.includes(name)) return;
  await store.memo.put(NAMESPACE, hexOf(digest), Buffer.from(JSON.stringify([...known, name])));
}

/** Names with digests, such as `debian@sha256:…`, under which registries are known to have it: what Docker calls RepoDigests. */
export async function repoDigests(
  { digest }: Pick<Descriptor, "digest">,
  store: LocalStore,
): Promise<readonly string[]> {
  const value = await store.memo.get(NAMESPACE, hexOf(digest));
  return value === undefined ? [] : (JSON.parse(Buffer.from(value).toString("utf8")) as readonly string[]);
}
