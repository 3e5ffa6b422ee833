import type { Lane } from "@varve/cache";
import { ServerError } from "../errors.ts";
import { captureGlob } from "../storage/quotas.ts";
import { checkReadChain, defaultReadChain, encodeLaneName, parseLane } from "./lanes.ts";
import type { Action } from "./principal.ts";

/** Which OIDC tokens are exchanged, and for what. All `${…}` are replaced: `${claim}`, or `${claim.N}` for what the Nth `*` of its glob stands for. */
export interface OidcRule {
  /** The claim `iss`. */
  readonly issuer: string;
  /** The claim `aud`, or one of it. */
  readonly audience: string;
  /** Globs, or lists of which one must fit, by claim. */
  readonly claims: Readonly<Record<string, string | readonly string[]>>;
  readonly principal: string;
  /** Left out for a principal that only reads. */
  readonly lane?: string;
  /** The lane and main where it is left out. */
  readonly readChain?: readonly string[];
  /** Milliseconds; an hour where it is left out, and never longer. */
  readonly lifetime?: number;
  /** Each OIDC token is exchanged once only. */
  readonly once?: boolean;
  /** Where the issuer's keys are; asked of the issuer where it is left out. */
  readonly jwksUri?: string;
}

/** A CI service whose rules are known. */
export interface OidcPreset {
  readonly preset: "github" | "gitlab";
  /** Of a GitLab of one's own. */
  readonly issuer?: string;
  readonly audience: string;
  /** Globs of `OWNER/REPOSITORY`, or of GitLab's project paths. */
  readonly repositories: readonly string[];
  /** Branches whose builds write to main. */
  readonly mainBranches?: readonly string[];
}

/** What a token with these claims is exchanged for. */
export interface OidcGrant {
  readonly principal: string;
  readonly lane: Lane | undefined;
  readonly readChain: readonly Lane[];
  readonly actions: readonly Action[];
}

const GITHUB = "https://token.actions.githubusercontent.com";
const GITLAB = "https://gitlab.com";

/**
 * Events of GitHub Actions that run what a branch holds. All others, such as `pull_request_target`, name the trusted
 * branch as their ref while what they run can come from a pull request.
 */
const GITHUB_EVENTS = ["push", "schedule", "workflow_dispatch"];
const GITLAB_SOURCES = ["push", "schedule", "web", "api", "trigger", "pipeline"];

/** The rules of a preset, in the order in which they are tried. */
export function expandPreset(preset: OidcPreset): readonly OidcRule[] {
  const branches = preset.mainBranches ?? ["main"];
  switch (preset.preset) {
    case "github":
      return githubRules(preset, branches);
    case "gitlab":
      return gitlabRules(preset, branches);
    default:
      return preset.preset satisfies never;
  }
}

function githubRules({ issuer = GITHUB, audience, repositories }: OidcPreset, branches: readonly string[]): OidcRule[] {
  const common = { issuer, audience, principal: "github:${repository}" };
  const pushed = { repository: repositories, event_name: GITHUB_EVENTS, ref_type: "branch" };
  return [
    { ...common, claims: { ...pushed, ref: branches.map((each) => `refs/heads/${each}`) }, lane: "main" },
    { ...common, claims: { ...pushed, ref: "refs/heads/*" }, lane: "branch/${repository}/${ref.1}" },
    {
      ...common,
      claims: { repository: repositories, event_name: "pull_request", ref: "refs/pull/*/merge" },
      lane: "pr/${repository}/${ref.1}",
    },
  ];
}

function gitlabRules({ issuer = GITLAB, audience, repositories }: OidcPreset, branches: readonly string[]): OidcRule[] {
  const common = { issuer, audience, principal: "gitlab:${project_path}" };
  const pushed = { project_path: repositories, pipeline_source: GITLAB_SOURCES, ref_type: "branch" };
  return [
    { ...common, claims: { ...pushed, ref: branches, ref_protected: "true" }, lane: "main" },
    { ...common, claims: { ...pushed, ref: "*" }, lane: "branch/${project_path}/${ref}" },
    {
      ...common,
      claims: {
        project_path: repositories,
        pipeline_source: ["merge_request_event", "external_pull_request_event"],
        ref: "*",
      },
      lane: "pr/${project_path}/${ref}",
    },
  ];
}

/** What the first of `rules` whose claims all fit gives; undefined where none does. */
export function matchOidcRule(
  rules: readonly OidcRule[],
  claims: Readonly<Record<string, unknown>>,
): { readonly rule: OidcRule; readonly grant: OidcGrant } | undefined {
  for (const rule of rules) {
    const captured = captureClaims(rule, claims);
    if (captured !== undefined) return { rule, grant: grantOf(rule, captured) };
  }
  return undefined;
}

/** The texts that `${…}` stands for; undefined where a claim does not fit. */
function captureClaims(
  rule: OidcRule,
  claims: Readonly<Record<string, unknown>>,
): ReadonlyMap<string, string> | undefined {
  const captured = new Map<string, string>();
  for (const [name, globs] of Object.entries(rule.claims)) {
    const text = claimText(Object.hasOwn(claims, name) ? claims[name] : undefined);
    const list = typeof globs === "string" ? [globs] : globs;
    const stars = text === undefined ? undefined : list.map((glob) => captureGlob(text, glob)).find(Boolean);
    if (text === undefined || stars === undefined) return undefined;
    captured.set(name, text);
    for (const [position, star] of stars.entries()) captured.set(`${name}.${position + 1}`, star);
  }
  return captured;
}

function claimText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return typeof value === "boolean" || typeof value === "number" ? String(value) : undefined;
}

function grantOf(rule: OidcRule, captured: ReadonlyMap<string, string>): OidcGrant {
  const fill = (template: string, encode: (text: string) => string): string =>
    template.replaceAll(/\$\{([^}]*)\}/g, (_, name: string) => {
      const text = captured.get(name);
      if (text !== undefined) return encode(text);
      throw new ServerError("SETTINGS_INVALID", `Cannot use rule "${template}": it has no claim "${name}"`);
    });
  const lane = rule.lane === undefined ? undefined : parseLane(fill(rule.lane, encodeLaneName));
  const given = rule.readChain?.map((each) => parseLane(fill(each, encodeLaneName)));
  return {
    principal: fill(rule.principal, (text) => text),
    lane,
    readChain: checkReadChain(given ?? defaultReadChain(lane ?? "main"), lane),
    actions: lane === undefined ? [] : ["write"],
  };
}
