/** JSON Schemas that routes share; `$id` is how they name them. */
const HEX = "[0-9a-f]{64}";
const DIGEST = { type: "string", pattern: `^sha256:${HEX}$` } as const;
const TIME = { type: "string", maxLength: 40 } as const;
const SIZE = { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER } as const;
const NODE = {
  type: "object",
  minProperties: 1,
  maxProperties: 1,
  additionalProperties: false,
  properties: { root: { type: "integer", minimum: 0 }, step: { type: "integer", minimum: 0 } },
} as const;
const ROOTFS = {
  type: "object",
  required: ["rootfs"],
  additionalProperties: false,
  properties: { rootfs: NODE },
} as const;

const DESCRIPTOR = {
  type: "object",
  required: ["mediaType", "digest", "size"],
  properties: { mediaType: { type: "string" }, digest: DIGEST, size: SIZE },
} as const;

const LAYER = {
  type: "object",
  required: ["descriptor", "diffId", "contentDigest", "index"],
  properties: { descriptor: DESCRIPTOR, diffId: DIGEST, contentDigest: DIGEST, index: DESCRIPTOR },
} as const;

const RECORD = {
  type: "object",
  required: ["key", "ingredients", "createdAt", "duration", "producer"],
  properties: {
    key: DIGEST,
    layer: LAYER,
    ingredients: { type: "object", additionalProperties: { type: "string" } },
    createdAt: TIME,
    duration: { type: "number", minimum: 0 },
    producer: { type: "string" },
  },
} as const;

const REPORTED_STEP = {
  type: "object",
  required: ["name", "state", "duration"],
  properties: {
    name: { type: "string", maxLength: 2000 },
    state: { type: "string", enum: ["hit-local", "hit-remote", "waited", "ran", "failed"] },
    duration: { type: "number", minimum: 0 },
    key: DIGEST,
    reason: { type: "string", maxLength: 4000 },
    bytes: SIZE,
  },
} as const;

/** A JSON Schema. */
export type Schema = Readonly<Record<string, unknown>>;

/** Bodies and parameters by name. */
export const SCHEMAS: Readonly<Record<string, Schema>> = {
  digest: DIGEST,
  layer: LAYER,
  record: RECORD,
  resolveStep: {
    type: "object",
    required: ["parent", "over"],
    properties: {
      stepDigest: DIGEST,
      definition: {},
      inputs: { type: "array", maxItems: 1000, items: { anyOf: [DIGEST, ROOTFS] } },
      parent: { anyOf: [DIGEST, ROOTFS, { type: "null" }] },
      over: NODE,
    },
    anyOf: [{ required: ["stepDigest"] }, { required: ["definition", "inputs"] }],
  },
  buildReport: {
    type: "object",
    required: ["id", "project", "target", "startedAt", "duration", "outcome", "steps", "bytesSaved", "timeSaved"],
    properties: {
      id: { type: "string", pattern: "^[A-Za-z0-9_.-]{1,64}$" },
      project: { type: "string", maxLength: 300 },
      target: { type: "string", maxLength: 300 },
      startedAt: TIME,
      duration: { type: "number", minimum: 0 },
      outcome: { type: "string", enum: ["built", "failed", "cancelled"] },
      steps: { type: "array", maxItems: 2000, items: REPORTED_STEP },
      bytesSaved: SIZE,
      timeSaved: { type: "number", minimum: 0 },
    },
  },
  error: {
    type: "object",
    required: ["error"],
    properties: {
      error: {
        type: "object",
        required: ["code", "message"],
        properties: { code: { type: "string" }, message: { type: "string" }, hint: { type: "string" } },
      },
    },
  },
};

/** The schema of a list of digests under one name. */
export function digestsSchema(name: string, limit: number): Schema {
  return {
    type: "object",
    required: [name],
    properties: { [name]: { type: "array", maxItems: limit, items: DIGEST } },
  };
}

/** The schema of a path with one digest, under its name. */
export function digestParameter(name: string): Schema {
  return { type: "object", required: [name], properties: { [name]: DIGEST } };
}
