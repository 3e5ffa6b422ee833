import { type Digest, isDigest } from "./digest.ts";
import { OciError } from "./errors.ts";

/** Names a repository in a registry, and a tag or a digest in it. Distribution spec, "Pulling manifests". */
export interface Reference {
  /** Host with the port, if any: `docker.io`, `localhost:5000`. */
  readonly registry: string;
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

const DEFAULT_REGISTRY = "docker.io";
const OFFICIAL = "library/";
const COMPONENT = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const REPOSITORY = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const HOST =
  /^(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9A-Fa-f:]+\])(?::\d{1,5})?$/;
const MAX_NAME = 255;

/**
 * Parses `[registry/]repository[:tag][@digest]`; a name without a registry is Docker Hub's, one without a slash an
 * official image: `debian` is `docker.io/library/debian`. No tag is added: see `withDefaultTag`.
 * @throws OciError `REFERENCE_INVALID`.
 */
export function parseReference(text: string): Reference {
  const at = text.indexOf("@");
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !isDigest(digest)) throw invalid(text, `"${digest}" is not a sha256 digest`);
  const named = at < 0 ? text : text.slice(0, at);
  const colon = named.lastIndexOf(":");
  const hasTag = colon > named.lastIndexOf("/");
  const tag = hasTag ? named.slice(colon + 1) : undefined;
  if (tag !== undefined && !TAG.test(tag)) throw invalid(text, `"${tag}" is not a tag`);
  const { registry, repository } = splitName(hasTag ? named.slice(0, colon) : named, text);
  return { registry, repository, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) };
}

function splitName(name: string, text: string): { readonly registry: string; readonly repository: string } {
  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  const hasHost = isHost(first);
  const host = hasHost ? first : DEFAULT_REGISTRY;
  const registry = host === "index.docker.io" ? DEFAULT_REGISTRY : host;
  const path = hasHost ? name.slice(slash + 1) : name;
  const repository = registry === DEFAULT_REGISTRY && !path.includes("/") ? `${OFFICIAL}${path}` : path;
  if (!HOST.test(registry)) throw invalid(text, `"${registry}" is not a registry's host`);
  if (path === "") throw invalid(text, "it names no repository");
  if (!REPOSITORY.test(path)) throw invalid(text, describeRepository(path));
  if (registry.length + 1 + repository.length > MAX_NAME)
    throw invalid(text, `a name has at most ${MAX_NAME} characters`);
  return { registry, repository };
}

/** What stands before the first slash is a host where it can't be a part of a repository's name, or is `localhost`. */
function isHost(word: string): boolean {
  return word === "localhost" || /[.:]/.test(word) || word !== word.toLowerCase();
}

function describeRepository(path: string): string {
  if (path !== path.toLowerCase()) return `repository "${path}" must be in lower case`;
  return `"${path}" is not a repository's name`;
}

function invalid(text: string, reason: string): OciError {
  return new OciError(
    "REFERENCE_INVALID",
    `Cannot use image reference "${text}": invalid reference format: ${reason}`,
    {
      hint: "Write [registry/]repository[:tag][@sha256:digest]",
    },
  );
}

/** The whole name: registry, repository, tag, digest. */
export function formatReference({ registry, repository, tag, digest }: Reference): string {
  return `${registry}/${repository}${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;
}

/** The shortest name that means the same: without Docker Hub's own parts, where what is left is read as Docker Hub's. */
export function familiarReference(reference: Reference): string {
  const full = formatReference(reference);
  const { registry, repository } = reference;
  if (registry !== DEFAULT_REGISTRY) return full;
  const path = repository.startsWith(OFFICIAL) ? repository.slice(OFFICIAL.length) : repository;
  const short = path.includes("/") ? repository : path;
  if (short.includes("/") && isHost(short.slice(0, short.indexOf("/")))) return full;
  return short + full.slice(registry.length + 1 + repository.length);
}

/** `reference`, with tag `latest` where it has neither tag nor digest. */
export function withDefaultTag(reference: Reference): Reference {
  return reference.tag === undefined && reference.digest === undefined ? { ...reference, tag: "latest" } : reference;
}
