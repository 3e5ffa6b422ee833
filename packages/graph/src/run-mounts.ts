import { type Location, nearest, type RunMountFlag } from "@varve/dockerfile";
import { GraphError } from "./errors.ts";
import { joinPath } from "./paths.ts";
import type { FileSet, RunMount } from "./step.ts";

type MountType = RunMount["type"];

const TYPES: readonly MountType[] = ["bind", "cache", "tmpfs", "secret", "ssh"];
const ALIASES: Readonly<Record<string, string>> = {
  src: "source",
  dst: "target",
  destination: "target",
  ro: "readonly",
  rw: "readwrite",
};
const COMMON = ["type", "target"];
const OPTIONS: Readonly<Record<MountType, readonly string[]>> = {
  bind: [...COMMON, "from", "source", "readonly", "readwrite"],
  cache: [...COMMON, "from", "source", "readonly", "readwrite", "id", "sharing", "mode", "uid", "gid"],
  tmpfs: [...COMMON, "size", "readonly", "readwrite"],
  secret: [...COMMON, "id", "required", "mode", "uid", "gid", "env", "source"],
  ssh: [...COMMON, "id", "required", "mode", "uid", "gid", "source"],
};
const SHARING = ["shared", "private", "locked"] as const;
const UNITS: Readonly<Record<string, number>> = { "": 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

export interface MountContext {
  readonly location: Location;
  readonly workdir: string;
  /** The file set that `from=` names. */
  readonly resolveFrom: (name: string) => FileSet;
}

/**
 * One `RUN --mount`, its variables replaced already, checked and completed: Dockerfile reference, "RUN --mount".
 * @throws GraphError `MOUNT_INVALID`.
 */
export function parseRunMount(flag: RunMountFlag, context: MountContext): RunMount {
  const options = new MountOptions(flag, context.location);
  switch (options.type) {
    case "bind":
      return {
        type: "bind",
        target: options.target(context),
        from: fromOf(options, context) ?? { type: "context", name: "" },
        source: options.value("source") ?? "/",
        readonly: options.readonly(true),
      };
    case "cache":
      return parseCache(options, context);
    case "tmpfs":
      return { type: "tmpfs", target: options.target(context), size: options.size() };
    case "secret":
      return parseSecret(options, context);
    case "ssh":
      return {
        type: "ssh",
        id: options.value("id") ?? "default",
        target: options.optionalTarget(context),
        required: options.flag("required"),
        ...options.owner(0o600),
      };
    default:
      return options.type satisfies never;
  }
}

function parseCache(options: MountOptions, context: MountContext): RunMount {
  const target = options.target(context);
  const sharing = options.value("sharing") ?? "shared";
  if (!SHARING.includes(sharing as "shared")) throw options.invalid(`unsupported sharing value "${sharing}"`);
  return {
    type: "cache",
    target,
    id: options.value("id") ?? target,
    sharing: sharing as (typeof SHARING)[number],
    from: fromOf(options, context),
    source: options.value("source") ?? "/",
    readonly: options.readonly(false),
    ...options.owner(0o755),
  };
}

function parseSecret(options: MountOptions, context: MountContext): RunMount {
  const target = options.optionalTarget(context);
  const id = options.value("id") ?? options.value("source") ?? target?.slice(target.lastIndexOf("/") + 1);
  if (id === undefined || id === "") throw options.invalid("a secret needs an id or a target");
  const env = options.value("env");
  const fallback = env === undefined ? `/run/secrets/${id.slice(id.lastIndexOf("/") + 1)}` : undefined;
  return {
    type: "secret",
    id,
    target: target ?? fallback,
    env,
    required: options.flag("required"),
    ...options.owner(0o400),
  };
}

function fromOf(options: MountOptions, context: MountContext): FileSet | undefined {
  const from = options.value("from");
  return from === undefined || from === "" ? undefined : context.resolveFrom(from);
}

class MountOptions {
  readonly type: MountType;
  readonly #values: ReadonlyMap<string, string | undefined>;
  readonly #location: Location;
  readonly #raw: string;

  constructor({ raw, options }: RunMountFlag, location: Location) {
    this.#raw = raw;
    this.#location = location;
    this.#values = new Map(options.map(([name, value]) => [ALIASES[name] ?? name, value]));
    const type = this.#values.get("type") ?? "bind";
    if (!TYPES.includes(type as MountType))
      throw this.invalid(`unsupported mount type "${type}"`, nearest(type, TYPES));
    this.type = type as MountType;
    for (const name of this.#values.keys()) this.#check(name);
  }

  #check(name: string): void {
    const known = OPTIONS[this.type];
    if (!known.includes(name)) throw this.invalid(`unexpected key '${name}' in '${this.#raw}'`, nearest(name, known));
    const isFlag = ["readonly", "readwrite", "required"].includes(name);
    if (this.#values.get(name) === undefined && !isFlag)
      throw this.invalid(`invalid field '${name}' must be a key=value pair`);
    if (isFlag) this.flag(name);
  }

  value(name: string): string | undefined {
    return this.#values.get(name);
  }

  flag(name: string): boolean {
    if (!this.#values.has(name)) return false;
    const text = (this.#values.get(name) ?? "true").toLowerCase();
    if (["true", "1"].includes(text)) return true;
    if (["false", "0"].includes(text)) return false;
    throw this.invalid(`invalid value for ${name}: ${text}`);
  }

  readonly(fallback: boolean): boolean {
    if (this.#values.has("readonly")) return this.flag("readonly");
    return this.#values.has("readwrite") ? !this.flag("readwrite") : fallback;
  }

  optionalTarget({ workdir }: MountContext): string | undefined {
    const target = this.#values.get("target");
    return target === undefined || target === "" ? undefined : joinPath(workdir, target);
  }

  target(context: MountContext): string {
    const target = this.optionalTarget(context) ?? "/";
    if (target === "/") throw this.invalid('invalid mount target "/"');
    return target;
  }

  owner(mode: number): { readonly mode: number; readonly uid: number; readonly gid: number } {
    return {
      mode: this.#number("mode", 8) ?? mode,
      uid: this.#number("uid", 10) ?? 0,
      gid: this.#number("gid", 10) ?? 0,
    };
  }

  size(): number | undefined {
    const text = this.#values.get("size");
    if (text === undefined) return undefined;
    const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text);
    if (match === null) throw this.invalid(`invalid value for size: ${text}`);
    return Math.floor(Number(match[1]) * (UNITS[(match[2] ?? "").toLowerCase()] ?? 1));
  }

  #number(name: string, radix: 8 | 10): number | undefined {
    const text = this.#values.get(name);
    if (text === undefined) return undefined;
    if (!(radix === 8 ? /^[0-7]+$/ : /^\d+$/).test(text)) throw this.invalid(`invalid value ${text} for ${name}`);
    return Number.parseInt(text, radix);
  }

  invalid(reason: string, near?: string): GraphError {
    return new GraphError("MOUNT_INVALID", `Cannot use --mount: ${reason}`, {
      location: this.#location,
      hint: near === undefined ? undefined : `Did you mean "${near}"?`,
    });
  }
}
