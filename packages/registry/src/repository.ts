import type { Readable } from "node:stream";
import {
  type Descriptor,
  type Digest,
  digestOf,
  DOCKER_MEDIA_TYPES,
  isDigest,
  isIndexMediaType,
  isManifestMediaType,
  MEDIA_TYPES,
  type Mounter,
  OciError,
  readContent,
  type Reference,
  streamContent,
  type TaggedPusher,
  type Target,
  type TransferOptions,
  verifyContent,
} from "@varve/oci";
import type { RegistryError } from "./errors.ts";
import { fetchBlob } from "./fetch-blob.ts";
import { backOff, pause, readBytes, readText } from "./http.ts";
import { listTags } from "./list-tags.ts";
import { mountBlob, openUpload, sendUpload, type UploadRequest } from "./push-blob.ts";
import { repositoryScope } from "./scopes.ts";
import { isLoopback, readSettings, type RegistrySettings } from "./settings.ts";
import { createTransport, type Transport } from "./transport.ts";

/** A repository of a registry: images are pulled from it, pushed to it, and taken over from others beside it. */
export interface Repository extends Target, Mounter, TaggedPusher {
  /** As in references: `docker.io`, `localhost:5000`. */
  readonly registry: string;
  readonly name: string;
  /** The descriptor that a tag or a digest names; undefined where there is none. */
  resolve(tagOrDigest: string, options?: TransferOptions): Promise<Descriptor | undefined>;
  /** Its tags, in the registry's order. */
  tags(options?: TransferOptions): Promise<readonly string[]>;
}

const ACCEPTED = [MEDIA_TYPES.index, MEDIA_TYPES.manifest, DOCKER_MEDIA_TYPES.index, DOCKER_MEDIA_TYPES.manifest];
const ACCEPT = ACCEPTED.join(", ");
/** What registries accept as a manifest. */
const MAX_MANIFEST = 4 * 1024 * 1024;
/** A registry looks at all that a manifest names before it answers: milliseconds. */
const MANIFEST_TIMEOUT = 120_000;
/** How often a manifest is sent whose blobs the registry does not see, though they were pushed. */
const MANIFEST_TRIES = 3;

/** Where a manifest is put: its tag or digest. */
interface ManifestPlace {
  readonly place: string;
  readonly signal: AbortSignal | undefined;
}

/** Opens the repository that `reference` names; nothing is sent before it is used. Distribution spec 1.1. */
export function openRepository(reference: Reference, settings: RegistrySettings = {}): Repository {
  return new HttpRepository(reference, { ...readSettings(process.env), ...settings });
}

/** Docker Hub's API is not where its name says. */
function hostOf(registry: string): string {
  return registry === "docker.io" ? "registry-1.docker.io" : registry;
}

class HttpRepository implements Repository {
  readonly registry: string;
  readonly name: string;
  readonly #transport: Transport;
  /** Asked before the registry itself, as long as they answer. */
  readonly #mirrors: Transport[];
  /** Uploads that are open because a mount could not be. */
  readonly #uploads = new Map<Digest, string>();
  /** Manifests that were pushed, which tags are most likely given to. */
  readonly #manifests = new Map<Digest, Uint8Array>();

  constructor({ registry, repository }: Reference, { insecure, mirrors }: Required<RegistrySettings>) {
    this.registry = registry;
    this.name = repository;
    const scheme = isLoopback(registry) || insecure.includes(registry) ? "http" : "https";
    const base = `${scheme}://${hostOf(registry)}/v2/${repository}`;
    this.#transport = createTransport({ registry, repository, base });
    this.#mirrors = (mirrors[registry] ?? []).map((url) => openMirror(url, repository));
  }

  async resolve(tagOrDigest: string, { signal }: TransferOptions = {}): Promise<Descriptor | undefined> {
    for (const mirror of this.#mirrors) {
      const found = await resolveAt(mirror, tagOrDigest, this.#pulling(signal)).catch(() => undefined);
      signal?.throwIfAborted();
      if (found !== undefined) return found;
    }
    return resolveAt(this.#transport, tagOrDigest, this.#pulling(signal));
  }

  async exists(descriptor: Descriptor, { signal }: TransferOptions = {}): Promise<boolean> {
    const headers = { accept: acceptOf(descriptor) };
    const response = await this.#transport.send(pathOf(descriptor), {
      method: "HEAD",
      headers,
      ...this.#pulling(signal),
    });
    if (response.ok) return true;
    if (response.status === 404) return false;
    const subject = isManifest(descriptor) ? "manifest" : "blob";
    throw await this.#transport.errorOf(response, { action: `look for "${descriptor.digest}"`, subject });
  }

  fetch(descriptor: Descriptor, options: TransferOptions = {}): Readable {
    return streamContent(descriptor, (signal) => this.#fetchBlob(descriptor, signal), options);
  }

  read(
    descriptor: Descriptor,
    { signal = new AbortController().signal }: TransferOptions = {},
  ): AsyncIterable<Uint8Array> {
    return verifyContent(descriptor, this.#fetchBlob(descriptor, signal));
  }

  #fetchBlob(descriptor: Descriptor, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const request = { descriptor, path: pathOf(descriptor), accept: acceptOf(descriptor) };
    return fetchBlob([...this.#mirrors, this.#transport], { ...request, ...this.#pulling(signal), signal });
  }

  async push(
    expected: Descriptor,
    content: AsyncIterable<Uint8Array>,
    { signal }: TransferOptions = {},
  ): Promise<void> {
    if (isManifest(expected)) {
      const bytes = await collect(expected, content, signal);
      await this.#putManifest(expected, bytes, { place: expected.digest, signal });
      this.#manifests.set(expected.digest, bytes);
      return;
    }
    const request = this.#pushing(signal);
    const location = this.#uploads.get(expected.digest) ?? (await openUpload(this.#transport, request));
    this.#uploads.delete(expected.digest);
    await sendUpload(this.#transport, location, { expected, content, ...request });
  }

  async pushTagged(
    expected: Descriptor,
    bytes: Uint8Array,
    { tag, signal }: TransferOptions & { readonly tag: string },
  ): Promise<void> {
    await this.#putManifest(expected, bytes, { place: tag, signal });
    this.#manifests.set(expected.digest, bytes);
  }

  async mount({ digest }: Descriptor, fromRepository: string, { signal }: TransferOptions = {}): Promise<boolean> {
    const { scopes } = this.#pushing(signal);
    const answer = await mountBlob(this.#transport, {
      digest,
      from: fromRepository,
      scopes: [...scopes, repositoryScope(fromRepository, "pull")],
      signal,
    });
    if (answer?.type === "upload") this.#uploads.set(digest, answer.location);
    return answer?.type === "mounted";
  }

  async tag(descriptor: Descriptor, tag: string, { signal }: TransferOptions = {}): Promise<void> {
    const options = signal === undefined ? {} : { signal };
    const bytes = this.#manifests.get(descriptor.digest) ?? (await readContent(this, descriptor, options));
    await this.#putManifest(descriptor, bytes, { place: tag, signal });
  }

  /** Again where blobs seem to be missing: in docker-registry they do for a moment, while another client commits the same. */
  async #putManifest(descriptor: Descriptor, bytes: Uint8Array, place: ManifestPlace): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const error = await this.#tryManifest(descriptor, bytes, place);
      if (error === undefined) return;
      if (error.code !== "MANIFEST_BLOB_UNKNOWN" || attempt === MANIFEST_TRIES) throw error;
      await pause(backOff(attempt), place.signal);
    }
  }

  async #tryManifest(
    { mediaType }: Descriptor,
    bytes: Uint8Array,
    { place, signal }: ManifestPlace,
  ): Promise<RegistryError | undefined> {
    const response = await this.#transport.send(`/manifests/${place}`, {
      method: "PUT",
      headers: { "content-type": mediaType },
      body: Buffer.from(bytes),
      timeout: MANIFEST_TIMEOUT,
      ...this.#pushing(signal),
    });
    if (!response.ok)
      return this.#transport.errorOf(response, {
        action: `push manifest "${place}" to "${this.registry}/${this.name}"`,
        subject: "manifest",
      });
    await readText(response);
    return undefined;
  }

  tags({ signal }: TransferOptions = {}): Promise<readonly string[]> {
    return listTags(this.#transport, this.#pulling(signal));
  }

  #pulling(signal: AbortSignal | undefined): UploadRequest {
    return { scopes: [repositoryScope(this.name, "pull")], signal };
  }

  #pushing(signal: AbortSignal | undefined): UploadRequest {
    return { scopes: [repositoryScope(this.name, "push")], signal };
  }
}

/** A mirror may fail: one try of each request is enough. */
function openMirror(url: string, repository: string): Transport {
  const { origin, host, pathname } = new URL(url);
  const path = `${pathname.replaceAll(/^\/+|\/+$/g, "")}/${repository}`.replace(/^\//, "");
  return createTransport({ registry: host, repository: path, base: `${origin}/v2/${path}`, tries: 1 });
}

/** A HEAD says it all in most registries, and does not count as a pull in any. */
async function resolveAt(
  transport: Transport,
  tagOrDigest: string,
  request: UploadRequest,
): Promise<Descriptor | undefined> {
  const path = `/manifests/${tagOrDigest}`;
  const headers = { accept: ACCEPT };
  const head = await transport.send(path, { method: "HEAD", headers, ...request });
  if (head.status === 404) return undefined;
  const described = head.ok ? describeHead(head) : undefined;
  if (described !== undefined) return checkDigest(described, tagOrDigest);
  const response = await transport.send(path, { headers, ...request });
  if (response.status === 404) return undefined;
  if (!response.ok)
    throw await transport.errorOf(response, {
      action: `read manifest "${tagOrDigest}" of "${transport.base}"`,
      subject: "manifest",
    });
  return checkDigest(await describeBody(response), tagOrDigest);
}

function describeHead({ headers }: Response): Descriptor | undefined {
  const digest = headers.get("docker-content-digest") ?? "";
  const size = Number(headers.get("content-length") ?? Number.NaN);
  const mediaType = mediaTypeOf(headers);
  return isDigest(digest) && size > 0 && mediaType !== undefined ? { mediaType, digest, size } : undefined;
}

async function describeBody(response: Response): Promise<Descriptor> {
  const bytes = await readBytes(response, MAX_MANIFEST + 1);
  if (bytes.length > MAX_MANIFEST)
    throw new OciError("SIZE_INVALID", `Cannot read manifest at "${response.url}": it has more than 4 MiB`);
  const mediaType = mediaTypeOf(response.headers) ?? statedMediaType(bytes) ?? MEDIA_TYPES.manifest;
  return { mediaType, digest: digestOf(bytes), size: bytes.length };
}

/** The media type of the header, where it is one that says something. */
function mediaTypeOf(headers: Headers): string | undefined {
  const mediaType = headers.get("content-type")?.split(";")[0]?.trim();
  return mediaType?.startsWith("application/vnd.") === true ? mediaType : undefined;
}

function statedMediaType(bytes: Buffer): string | undefined {
  try {
    const { mediaType } = JSON.parse(bytes.toString("utf8")) as { readonly mediaType?: unknown };
    return typeof mediaType === "string" ? mediaType : undefined;
  } catch {
    return undefined;
  }
}

function checkDigest(descriptor: Descriptor, tagOrDigest: string): Descriptor {
  if (!isDigest(tagOrDigest) || tagOrDigest === descriptor.digest) return descriptor;
  throw new OciError(
    "DIGEST_MISMATCH",
    `Cannot use manifest "${tagOrDigest}": the registry has ${descriptor.digest} in its place`,
  );
}

function isManifest({ mediaType }: Descriptor): boolean {
  return isManifestMediaType(mediaType) || isIndexMediaType(mediaType);
}

function pathOf(descriptor: Descriptor): string {
  return `/${isManifest(descriptor) ? "manifests" : "blobs"}/${descriptor.digest}`;
}

function acceptOf(descriptor: Descriptor): string {
  return isManifest(descriptor) ? ACCEPT : "*/*";
}

async function collect(
  expected: Descriptor,
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  if (expected.size > MAX_MANIFEST)
    throw new OciError(
      "SIZE_INVALID",
      `Cannot push manifest "${expected.digest}": it has ${expected.size} bytes; registries take 4 MiB`,
    );
  const chunks: Uint8Array[] = [];
  for await (const chunk of verifyContent(expected, content)) {
    signal?.throwIfAborted();
    chunks.push(Uint8Array.from(chunk));
  }
  return Buffer.concat(chunks);
}
