import { Readable } from "node:stream";
import {
  createDigester,
  type Descriptor,
  formatReference,
  isDigest,
  isIndexMediaType,
  isManifestMediaType,
  DOCKER_MEDIA_TYPES,
  MEDIA_TYPES,
  type Mounter,
  type Reference,
  type Target,
  type TransferOptions,
  verifyContent,
} from "@varve/oci";
import { type Authorizer, createAuthorizer, unauthorized } from "./authorizer.ts";
import { findCredentials } from "./credentials.ts";
import { RegistryError } from "./errors.ts";
import { type HttpRequest, redact, sendRequest } from "./http.ts";

/** A repository of a registry. */
export interface Repository extends Target, Mounter {
  readonly registry: string;
  readonly name: string;
  /** Its tags, in the registry's order. */
  tags(): Promise<readonly string[]>;
}

export interface RepositoryOptions {
  /** Registries that are spoken to by http; loopback addresses always are. */
  readonly insecure?: readonly string[];
}

const ACCEPTED = [MEDIA_TYPES.index, MEDIA_TYPES.manifest, DOCKER_MEDIA_TYPES.index, DOCKER_MEDIA_TYPES.manifest].join(
  ", ",
);
const MAX_MANIFEST = 4 * 1024 * 1024;
/** How often a body that breaks off is taken up again. */
const RESUMES = 4;

/** Opens the repository that `reference` names; nothing is sent before it is used. Distribution spec 1.1. */
export function openRepository(reference: Reference, options: RepositoryOptions = {}): Repository {
  return new HttpRepository(reference, options);
}

/** Docker Hub's API is not where its name says. */
function hostOf(registry: string): string {
  return registry === "docker.io" ? "registry-1.docker.io" : registry;
}

function isLoopback(registry: string): boolean {
  return /^(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?$/.test(registry);
}

class HttpRepository implements Repository {
  readonly registry: string;
  readonly name: string;
  readonly #base: string;
  readonly #authorizer: Authorizer;

  constructor(reference: Reference, { insecure = [] }: RepositoryOptions) {
    this.registry = reference.registry;
    this.name = reference.repository;
    const scheme = isLoopback(this.registry) || insecure.includes(this.registry) ? "http" : "https";
    this.#base = `${scheme}://${hostOf(this.registry)}/v2/${this.name}`;
    this.#authorizer = createAuthorizer(this.registry, this.name, (url, { method, headers, body }) =>
      sendRequest(url, {
        ...(method === undefined ? {} : { method }),
        headers: headers as Record<string, string>,
        ...(body == null ? {} : { body }),
      }),
    );
  }

  async resolve(tag: string, options: TransferOptions = {}): Promise<Descriptor | undefined> {
    const path = `/manifests/${tag}`;
    const head = await this.#send(
      path,
      { method: "HEAD", headers: { accept: ACCEPTED }, signal: options.signal },
      "pull",
    );
    if (head.status === 404) return undefined;
    const digest = head.headers.get("docker-content-digest");
    const size = Number(head.headers.get("content-length") ?? Number.NaN);
    const mediaType = mediaTypeOf(head);
    if (head.ok && digest !== null && isDigest(digest) && size > 0 && mediaType !== undefined)
      return { mediaType, digest, size };
    return this.#resolveByGet(path, options);
  }

  async #resolveByGet(path: string, options: TransferOptions): Promise<Descriptor | undefined> {
    const response = await this.#send(path, { headers: { accept: ACCEPTED }, signal: options.signal }, "pull");
    if (response.status === 404) return undefined;
    await this.#check(response, `read manifest "${path}"`);
    const bytes = Buffer.from(await response.arrayBuffer());
    const digester = createDigester();
    digester.update(bytes);
    return { mediaType: mediaTypeOf(response) ?? MEDIA_TYPES.manifest, digest: digester.digest(), size: bytes.length };
  }

  async exists(descriptor: Descriptor, options: TransferOptions = {}): Promise<boolean> {
    const response = await this.#send(
      this.#pathOf(descriptor),
      { method: "HEAD", headers: acceptOf(descriptor), signal: options.signal },
      "pull",
    );
    if (response.status === 404) return false;
    await this.#check(response, `look for "${descriptor.digest}"`);
    return true;
  }

  fetch(descriptor: Descriptor, options: TransferOptions = {}): Readable {
    const content = verifyContent(descriptor, this.#fetchResuming(descriptor, options));
    return Readable.from(content, {
      objectMode: false,
      highWaterMark: 1024 * 1024,
      ...(options.signal && { signal: options.signal }),
    });
  }

  /** A body that breaks off is taken up where it did, by Range. */
  async *#fetchResuming(descriptor: Descriptor, { signal }: TransferOptions): AsyncGenerator<Uint8Array> {
    let received = 0;
    for (let broken = 0; ; broken += 1) {
      const range: Record<string, string> = received === 0 ? {} : { range: `bytes=${received}-` };
      const response = await this.#send(
        this.#pathOf(descriptor),
        { headers: { ...acceptOf(descriptor), ...range }, signal },
        "pull",
      );
      await this.#check(response, `fetch "${descriptor.digest}"`);
      let skip = response.status === 206 ? 0 : received;
      try {
        for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
          const fresh = chunk.subarray(Math.min(skip, chunk.length));
          skip -= chunk.length - fresh.length;
          received += fresh.length;
          if (fresh.length > 0) yield fresh;
        }
        return;
      } catch (cause) {
        signal?.throwIfAborted();
        if (broken < RESUMES && received < descriptor.size) continue;
        throw new RegistryError(
          "UNREACHABLE",
          `Cannot fetch "${descriptor.digest}" from "${this.registry}": the transfer broke off after ${received} of ${descriptor.size} bytes`,
          { cause },
        );
      }
    }
  }

  async push(expected: Descriptor, content: AsyncIterable<Uint8Array>, options: TransferOptions = {}): Promise<void> {
    if (isManifestMediaType(expected.mediaType) || isIndexMediaType(expected.mediaType)) {
      await this.#putManifest(expected, await collect(expected, content), { place: expected.digest, ...options });
      return;
    }
    await this.#pushBlob(expected, content, options);
  }

  async #pushBlob(
    expected: Descriptor,
    content: AsyncIterable<Uint8Array>,
    { signal }: TransferOptions,
  ): Promise<void> {
    const started = await this.#send(
      "/blobs/uploads/",
      { method: "POST", headers: { "content-length": "0" }, signal },
      "push",
    );
    await this.#check(started, "start an upload");
    await started.body?.cancel();
    if (started.status === 201) return;
    const location = started.headers.get("location");
    if (location === null)
      throw new RegistryError(
        "PROTOCOL",
        `Cannot push to "${this.registry}": its answer to an upload names no location`,
      );
    const url = new URL(location, `${this.#base}/`);
    url.searchParams.set("digest", expected.digest);
    const sameHost = url.host === new URL(this.#base).host;
    const authorization = sameHost ? this.#authorizer.header(this.#scopes("push")) : undefined;
    const response = await sendRequest(url.href, {
      method: "PUT",
      headers: {
        "content-type": "application/octet-stream",
        "content-length": String(expected.size),
        ...(authorization === undefined ? {} : { authorization }),
      },
      body: Readable.from(verifyContent(expected, content), { objectMode: false }),
      once: true,
      signal,
    });
    await this.#check(response, `push "${expected.digest}"`);
    await response.body?.cancel();
  }

  async mount(descriptor: Descriptor, fromRepository: string): Promise<boolean> {
    const query = new URLSearchParams({ mount: descriptor.digest, from: fromRepository });
    const response = await this.#send(
      `/blobs/uploads/?${query.toString()}`,
      { method: "POST", headers: { "content-length": "0" } },
      "push",
      [`repository:${fromRepository}:pull`],
    );
    await response.body?.cancel();
    return response.status === 201;
  }

  async tag(descriptor: Descriptor, tag: string, options: TransferOptions = {}): Promise<void> {
    const bytes = await collect(descriptor, this.fetch(descriptor, options) as AsyncIterable<Uint8Array>);
    await this.#putManifest(descriptor, bytes, { place: tag, ...options });
  }

  async #putManifest(
    descriptor: Descriptor,
    bytes: Uint8Array,
    { place, signal }: TransferOptions & { readonly place: string },
  ): Promise<void> {
    const headers = { "content-type": descriptor.mediaType };
    const response = await this.#send(
      `/manifests/${place}`,
      { method: "PUT", headers, body: Buffer.from(bytes), signal },
      "push",
    );
    await this.#check(response, `push manifest "${place}"`);
    await response.body?.cancel();
  }

  async tags(): Promise<readonly string[]> {
    const all: string[] = [];
    for (let path: string | undefined = "/tags/list"; path !== undefined;) {
      const response: Response = await this.#send(path, {}, "pull");
      await this.#check(response, "list tags");
      const { tags } = (await response.json()) as { readonly tags: readonly string[] | null };
      all.push(...(tags ?? []));
      const next = /<([^>]+)>\s*;\s*rel="?next"?/.exec(response.headers.get("link") ?? "")?.[1];
      path = next === undefined ? undefined : `/tags/list${new URL(next, this.#base).search}`;
    }
    return all;
  }

  #pathOf(descriptor: Descriptor): string {
    const isManifest = isManifestMediaType(descriptor.mediaType) || isIndexMediaType(descriptor.mediaType);
    return `/${isManifest ? "manifests" : "blobs"}/${descriptor.digest}`;
  }

  #scopes(power: "pull" | "push"): readonly string[] {
    return [`repository:${this.name}:${power === "push" ? "pull,push" : "pull"}`];
  }

  async #send(
    path: string,
    request: HttpRequest,
    power: "pull" | "push",
    extraScopes: readonly string[] = [],
  ): Promise<Response> {
    const scopes = [...this.#scopes(power), ...extraScopes];
    for (let attempt = 1; ; attempt += 1) {
      const authorization = this.#authorizer.header(scopes);
      const headers = { ...request.headers, ...(authorization === undefined ? {} : { authorization }) };
      const response = await sendRequest(`${this.#base}${path}`, { ...request, headers });
      if (response.status !== 401) return response;
      await response.body?.cancel();
      const isNewer = this.#authorizer.header(scopes) !== authorization;
      if (attempt < 3 && (isNewer || (await this.#authorizer.learn(response, { scopes, refused: authorization }))))
        continue;
      throw unauthorized(this.registry, {
        status: 401,
        source: (await findCredentials(this.registry, this.name))?.source,
      });
    }
  }

  async #check(response: Response, what: string): Promise<void> {
    if (response.ok) return;
    const detail = await readErrors(response);
    const message = `Cannot ${what} in "${formatReference({ registry: this.registry, repository: this.name })}": the registry answered ${response.status}${detail.text === "" ? "" : `: ${detail.text}`}`;
    throw new RegistryError(codeOf(response.status, { code: detail.code, what }), message, {
      status: response.status,
      ...hintFor(response.status, redact(response.url)),
    });
  }
}

function acceptOf(descriptor: Descriptor): Record<string, string> {
  return isManifestMediaType(descriptor.mediaType) || isIndexMediaType(descriptor.mediaType)
    ? { accept: ACCEPTED }
    : { accept: "*/*" };
}

function mediaTypeOf(response: Response): string | undefined {
  return response.headers.get("content-type")?.split(";")[0]?.trim();
}

async function collect(expected: Descriptor, content: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  if (expected.size > MAX_MANIFEST)
    throw new RegistryError(
      "MANIFEST_REJECTED",
      `Cannot push manifest "${expected.digest}": it has ${expected.size} bytes; registries take 4 MiB`,
    );
  const chunks: Uint8Array[] = [];
  for await (const chunk of verifyContent(expected, content)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The error body of the distribution specification; empty for any other. */
async function readErrors(response: Response): Promise<{ readonly code: string; readonly text: string }> {
  const body = (await response.text().catch(() => "")).slice(0, 64 * 1024);
  try {
    const { errors } = JSON.parse(body) as {
      readonly errors?: readonly { readonly code?: string; readonly message?: string }[];
    };
    const [first] = errors ?? [];
    return {
      code: first?.code ?? "",
      text: (errors ?? []).map(({ code, message }) => `${code ?? ""} ${message ?? ""}`.trim()).join("; "),
    };
  } catch {
    return { code: "", text: "" };
  }
}

function codeOf(
  status: number,
  { code, what }: { readonly code: string; readonly what: string },
): RegistryError["code"] {
  if (status === 401) return "UNAUTHORIZED";
  if (status === 403 || code === "DENIED") return "DENIED";
  if (status === 429) return "TOO_MANY_REQUESTS";
  if (code === "NAME_INVALID") return "NAME_INVALID";
  if (status === 404) return code === "NAME_UNKNOWN" ? "NAME_UNKNOWN" : "MANIFEST_UNKNOWN";
  if (status === 405) return "UNSUPPORTED";
  if (status >= 500) return "UNREACHABLE";
  return what.startsWith("push manifest") ? "MANIFEST_REJECTED" : "BLOB_REJECTED";
}

function hintFor(status: number, url: string): { readonly hint?: string } {
  if (status === 403) return { hint: "The account may not do this: check its rights on the repository" };
  if (status === 404) return { hint: `Check the name; asked was ${url}` };
  return status === 429 ? { hint: "Wait, or log in: anonymous pulls are limited" } : {};
}
