const SIZE = {
  type: ["integer", "string"],
  minimum: 0,
  pattern: "^\\d+(\\.\\d+)? ?([KMGT]i?B)?$",
} as const;

const GLOBS = {
  anyOf: [{ type: "string" }, { type: "array", items: { type: "string" }, minItems: 1 }],
} as const;

const OIDC_RULE = {
  type: "object",
  additionalProperties: false,
  required: ["issuer", "audience", "claims", "principal"],
  properties: {
    issuer: { type: "string", pattern: "^https?://", description: "The claim iss" },
    audience: { type: "string", minLength: 1, description: "The claim aud, or one of it" },
    claims: {
      type: "object",
      minProperties: 1,
      additionalProperties: GLOBS,
      description: "Globs, or lists of them, by claim; all must fit",
    },
    principal: { type: "string", minLength: 1, description: "A name for logs and records; ${claim} is replaced" },
    lane: { type: "string", description: "Where it writes; ${claim} and ${claim.1} are replaced" },
    readChain: { type: "array", items: { type: "string" }, minItems: 1 },
    lifetime: { type: "integer", minimum: 1000, maximum: 3_600_000, description: "Milliseconds" },
    once: { type: "boolean", description: "Each OIDC token is exchanged once only" },
    jwksUri: { type: "string", pattern: "^https?://", description: "Where the issuer's keys are" },
  },
} as const;

const OIDC_PRESET = {
  type: "object",
  additionalProperties: false,
  required: ["preset", "audience", "repositories"],
  properties: {
    preset: { type: "string", enum: ["github", "gitlab"] },
    issuer: { type: "string", pattern: "^https?://", description: "Of a GitLab or GitHub of one's own" },
    audience: { type: "string", minLength: 1 },
    repositories: { type: "array", items: { type: "string", minLength: 1 }, minItems: 1 },
    mainBranches: { type: "array", items: { type: "string", minLength: 1 }, minItems: 1 },
  },
} as const;

/** One setting, as JSON Schema describes it. */
export interface SettingSchema {
  readonly type: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly [keyword: string]: unknown;
}

/** A JSON Schema of an object. */
export interface SettingsSchema {
  readonly properties: Readonly<Record<string, SettingSchema>>;
  readonly [keyword: string]: unknown;
}

/** What settings there are, as JSON Schema: `varve-cache schema` prints it. */
export const SETTINGS_SCHEMA: SettingsSchema = {
  $schema: "http://json-schema.org/draft-07/schema#",
  title: "Settings of varve-cache",
  type: "object",
  additionalProperties: false,
  properties: {
    $schema: { type: "string" },
    host: { type: "string", default: "127.0.0.1", description: "Address to listen at; 0.0.0.0 or :: for all" },
    port: { type: "integer", minimum: 0, maximum: 65_535, default: 7788, description: "0 takes a free one" },
    data: { type: "string", minLength: 1, default: "varve-cache", description: "Directory of all that is kept" },
    anonymous: {
      type: "string",
      enum: ["none", "read", "write"],
      default: "none",
      description: "What requests without a token may do, in lane main",
    },
    budget: { ...SIZE, default: "20GB", description: "Most bytes that are stored" },
    minFree: { ...SIZE, default: "256MiB", description: "Bytes that the disk keeps free" },
    maxBlob: { ...SIZE, default: "10GiB", description: "Most bytes of one blob" },
    mountBudget: { ...SIZE, default: "2GiB", description: "Most bytes of one cache mount" },
    quotas: {
      type: "array",
      default: [],
      description: "Most bytes of a lane; the first whose glob fits decides",
      items: {
        type: "object",
        additionalProperties: false,
        required: ["lane", "bytes"],
        properties: { lane: { type: "string", minLength: 1 }, bytes: SIZE },
      },
    },
    oidc: {
      type: "array",
      default: [],
      description: "Which OIDC tokens are exchanged, and for what; the first that fits decides",
      // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema, whose messages name one rule only
      items: { if: { required: ["preset"] }, then: OIDC_PRESET, else: OIDC_RULE },
    },
    tlsCert: { type: "string", description: "File with the certificate chain in PEM" },
    tlsKey: { type: "string", description: "File with the private key in PEM" },
    rate: { type: "number", minimum: 0, default: 2000, description: "Requests a second of one token; 0 for any" },
    burst: { type: "integer", minimum: 1, default: 5000, description: "Requests that may come at once" },
    metricsToken: { type: "boolean", default: false, description: "/metrics needs a token" },
    trustProxy: { type: "boolean", default: false, description: "Behind a proxy: X-Forwarded-For tells who asks" },
    logLevel: { type: "string", enum: ["debug", "info", "warn", "error", "silent"], default: "info" },
    drainTimeout: {
      type: "integer",
      minimum: 0,
      default: 30_000,
      description: "Time for what is under way when stopping",
    },
    bodyTimeout: {
      type: "integer",
      minimum: 100,
      default: 30_000,
      description: "Time in which a JSON body, or the next 64 KiB of a blob, must come",
    },
    uploadLifetime: {
      type: "integer",
      minimum: 1000,
      default: 3_600_000,
      description: "Of uploads that nobody touches",
    },
    holdNew: {
      type: "integer",
      minimum: 0,
      default: 600_000,
      description: "Time in which a new blob is not evicted, so that a record can name it",
    },
    useGranularity: {
      type: "integer",
      minimum: 0,
      default: 3_600_000,
      description: "How exactly eviction knows when something was used last",
    },
  },
};
