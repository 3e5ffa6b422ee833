import type { Json } from "@varve/cache-key";
import { formatPlatform } from "@varve/oci";
import type { CopySource, CopyStep, RunMount, RunStep, Step, WorkdirStep } from "./step.ts";

/**
 * What a step is, as it goes into its key: all that can shape its layer and does not come from the files it reads.
 * Names of stages, places, comments, secrets and proxies are not in it.
 */
export function stepDefinition(step: Exclude<Step, { kind: "from" }>): Json {
  switch (step.kind) {
    case "run":
      return runDefinition(step);
    case "copy":
      return copyDefinition(step);
    case "workdir":
      return workdirDefinition(step);
    default:
      return step satisfies never;
  }
}

function runDefinition(step: RunStep): Json {
  return {
    kind: "run",
    args: step.args,
    env: step.env,
    workdir: step.workdir,
    user: step.user,
    platform: formatPlatform(step.platform),
    mounts: step.mounts.map(mountDefinition),
    network: step.network,
    security: step.security,
    devices: step.devices,
    ...(step.script === undefined ? {} : { script: { name: step.script.name, content: step.script.content } }),
    ...(step.hostname === undefined ? {} : { hostname: step.hostname }),
    ...(step.extraHosts.length === 0 ? {} : { extraHosts: step.extraHosts.map(([name, address]) => [name, address]) }),
    ...(step.ulimits.length === 0 ? {} : { ulimits: step.ulimits.map(({ name, soft, hard }) => [name, soft, hard]) }),
    ...(step.shmSize === undefined ? {} : { shmSize: step.shmSize }),
  };
}

/** The files behind `from` are inputs; a secret counts by its name, never by its value. */
function mountDefinition(mount: RunMount): Json {
  switch (mount.type) {
    case "bind":
      return { type: mount.type, target: mount.target, source: mount.source, readonly: mount.readonly };
    case "cache":
      return { type: mount.type, target: mount.target, id: mount.id, sharing: mount.sharing, readonly: mount.readonly };
    case "tmpfs":
      return { type: mount.type, target: mount.target };
    case "secret":
      return { type: mount.type, id: mount.id, target: mount.target ?? null, env: mount.env ?? null };
    case "ssh":
      return { type: mount.type, id: mount.id, target: mount.target ?? null };
    default:
      return mount satisfies never;
  }
}

function copyDefinition(step: CopyStep): Json {
  return {
    kind: "copy",
    instruction: step.instruction,
    sources: step.sources.map(sourceDefinition),
    destination: step.destination,
    chown: step.chown ?? null,
    chmod: step.chmod ?? null,
    link: step.link,
    parents: step.parents,
    exclude: step.exclude,
    unpack: step.unpack ?? null,
    checksum: step.checksum ?? null,
  };
}

function sourceDefinition(source: CopySource): Json {
  switch (source.type) {
    case "path":
      return { type: source.type, path: source.path };
    case "inline":
      return { type: source.type, name: source.name };
    case "http":
      return { type: source.type, url: source.url };
    case "git":
      return {
        type: source.type,
        directory: source.git.directory,
        keepGitDir: source.git.keepGitDir ?? false,
        submodules: source.git.submodules,
      };
    default:
      return source satisfies never;
  }
}

function workdirDefinition(step: WorkdirStep): Json {
  return { kind: "workdir", path: step.path, user: step.user };
}
