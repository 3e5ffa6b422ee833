import type { Descriptor } from "./descriptor.ts";
import { isDigest } from "./digest.ts";
import { OciError } from "./errors.ts";
import type { ImageConfig, ImageIndex, Manifest } from "./image.ts";

type Json = Record<string, unknown>;

/** What a member has to be, in words and as a predicate. */
type Rule = readonly [wanted: string, holds: (value: unknown) => boolean];
type Rules = Readonly<Record<string, Rule>>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const STRING: Rule = ["a string", (value) => typeof value === "string"];
const NUMBER: Rule = ["a number", (value) => typeof value === "number"];
const STRINGS: Rule = [
  "an array of strings",
  (value) => Array.isArray(value) && value.every((each) => typeof each === "string"),
];
const STRING_MAP: Rule = [
  "an object of strings",
  (value) => isObject(value) && Object.values(value).every((each) => typeof each === "string"),
];
const OBJECT: Rule = ["an object", isObject];
const OBJECTS: Rule = ["an array of objects", (value) => Array.isArray(value) && value.every(isObject)];
const DIGEST: Rule = ["a sha256 digest", (value) => typeof value === "string" && isDigest(value)];
const SIZE: Rule = ["a number of bytes", (value) => Number.isSafeInteger(value) && (value as number) >= 0];
const VERSION: Rule = ["2", (value) => value === 2];
const LAYERS: Rule = ['"layers"', (value) => value === "layers"];
const ABSENT: Rule = ["no such member", () => false];

const DESCRIPTOR: Rules = { mediaType: STRING, digest: DIGEST, size: SIZE };
const DESCRIPTOR_OPTIONAL: Rules = { annotations: STRING_MAP, platform: OBJECT, artifactType: STRING };
const PLATFORM: Rules = { os: STRING, architecture: STRING };
const PLATFORM_OPTIONAL: Rules = { variant: STRING, "os.version": STRING, "os.features": STRINGS };
const DOCUMENT: Rules = { mediaType: STRING, artifactType: STRING, annotations: STRING_MAP };
const CONFIG_OPTIONAL: Rules = {
  ...PLATFORM_OPTIONAL,
  created: STRING,
  author: STRING,
  config: OBJECT,
  history: OBJECTS,
};
const CONTAINER: Rules = {
  User: STRING,
  ExposedPorts: OBJECT,
  Env: STRINGS,
  Entrypoint: STRINGS,
  Cmd: STRINGS,
  Volumes: OBJECT,
  WorkingDir: STRING,
  Labels: STRING_MAP,
  StopSignal: STRING,
  StopTimeout: NUMBER,
  Healthcheck: OBJECT,
  OnBuild: STRINGS,
  Shell: STRINGS,
};

/**
 * Bytes as an image manifest: the members that the image specification knows are checked, others kept, nulls dropped.
 * A document that is an index at the same time is refused (CVE-2021-41190).
 * @throws OciError `MANIFEST_INVALID` naming the member.
 */
export function parseManifest(bytes: Uint8Array): Manifest {
  const value = parseObject(bytes, "manifest");
  const at = { what: "manifest", parent: "" };
  require(value, { schemaVersion: VERSION }, at);
  allow(value, { ...DOCUMENT, manifests: ABSENT }, at);
  const config = parseDescriptor(value["config"], "manifest", "config");
  const layers = parseDescriptors(value["layers"], "manifest", "layers");
  const { subject } = value;
  return {
    ...(value as unknown as Manifest),
    config,
    layers,
    ...(subject === undefined ? {} : { subject: parseDescriptor(subject, "manifest", "subject") }),
  };
}

/**
 * Bytes as an image index, with the same checks.
 * @throws OciError `MANIFEST_INVALID` naming the member.
 */
export function parseIndex(bytes: Uint8Array): ImageIndex {
  const value = parseObject(bytes, "index");
  const at = { what: "index", parent: "" };
  require(value, { schemaVersion: VERSION }, at);
  allow(value, { ...DOCUMENT, layers: ABSENT, config: ABSENT }, at);
  return {
    ...(value as unknown as ImageIndex),
    manifests: parseDescriptors(value["manifests"], "index", "manifests"),
  };
}

/**
 * Bytes as an image config, with the same checks.
 * @throws OciError `MANIFEST_INVALID` naming the member.
 */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
  const what = "image config";
  const value = parseObject(bytes, what);
  require(value, PLATFORM, { what, parent: "" });
  allow(value, CONFIG_OPTIONAL, { what, parent: "" });
  const container = dropNulls((value["config"] ?? {}) as Json);
  allow(container, CONTAINER, { what, parent: "config." });
  const rootfs = dropNulls(isObject(value["rootfs"]) ? value["rootfs"] : {});
  allow(rootfs, { type: LAYERS }, { what, parent: "rootfs." });
  return {
    ...(value as unknown as ImageConfig),
    ...(value["config"] === undefined ? {} : { config: container }),
    rootfs: { type: "layers", diff_ids: parseDigests(rootfs["diff_ids"] ?? [], what, "rootfs.diff_ids") },
  };
}

function parseDigests(value: unknown, what: string, member: string): ImageConfig["rootfs"]["diff_ids"] {
  if (!Array.isArray(value)) throw invalid(what, member, "an array");
  for (const [position, digest] of value.entries()) {
    if (!DIGEST[1](digest)) throw invalid(what, `${member}[${position}]`, DIGEST[0]);
  }
  return value;
}

function parseObject(bytes: Uint8Array, what: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (cause) {
    throw new OciError("MANIFEST_INVALID", `Cannot read ${what}: it is not JSON`, { cause });
  }
  if (isObject(value)) return dropNulls(value);
  throw new OciError("MANIFEST_INVALID", `Cannot read ${what}: it is no JSON object`);
}

function parseDescriptors(value: unknown, what: string, member: string): readonly Descriptor[] {
  const list = value ?? [];
  if (!Array.isArray(list)) throw invalid(what, member, "an array");
  return list.map((each, position) => parseDescriptor(each, what, `${member}[${position}]`));
}

function parseDescriptor(value: unknown, what: string, member: string): Descriptor {
  if (!isObject(value)) throw invalid(what, member, "a descriptor");
  const descriptor = dropNulls(value);
  require(descriptor, DESCRIPTOR, { what, parent: `${member}.` });
  allow(descriptor, DESCRIPTOR_OPTIONAL, { what, parent: `${member}.` });
  if (descriptor["platform"] === undefined) return descriptor as unknown as Descriptor;
  const platform = dropNulls(descriptor["platform"] as Json);
  require(platform, PLATFORM, { what, parent: `${member}.platform.` });
  allow(platform, PLATFORM_OPTIONAL, { what, parent: `${member}.platform.` });
  return { ...(descriptor as unknown as Descriptor), platform: platform as unknown as Descriptor["platform"] & {} };
}

interface Place {
  readonly what: string;
  /** Ends with a dot, or is empty. */
  readonly parent: string;
}

function require(value: Json, rules: Rules, { what, parent }: Place): void {
  for (const [member, [wanted, holds]] of Object.entries(rules))
    if (!holds(value[member])) throw invalid(what, `${parent}${member}`, wanted);
}

function allow(value: Json, rules: Rules, place: Place): void {
  require(value, Object.fromEntries(Object.entries(rules).filter(([member]) => value[member] !== undefined)), place);
}

/** Go writes an absent slice, map or pointer as null. */
function dropNulls(value: Json): Json {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== null));
}

function invalid(what: string, member: string, wanted: string): OciError {
  return new OciError("MANIFEST_INVALID", `Cannot read ${what}: member "${member}" is damaged; wanted ${wanted}`);
}
