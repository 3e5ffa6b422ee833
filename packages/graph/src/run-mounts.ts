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
/** Options of every type; those that mean nothing for a type are accepted, as BuildKit does. */
const COMMON = ["type", "from", "source", "target", "readonly", "readwrite", "id"];
/** Options that only some types may have. */
const SPECIAL: Readonly<Record<string, readonly MountType[]>> = {
  sharing: ["cache"],
  size: ["tmpfs"],
  required: ["secret", "ssh"],
  env: ["secret"],
  mode: ["cache", "secret", "ssh"],
  uid: ["cache", "secret", "ssh"],
  gid: ["cache", "secret", "ssh"],
};
const FLAGS = ["readonly", "readwrite", "required"];
const SHARING = ["shared", "private", "locked"] as const;
const TRUE = ["1", "t", "T", "true", "TRUE", "True"];
const FALSE = ["0", "f", "F", "false", "FALSE", "False"];
const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
  p: 1024 ** 5,
};

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
        id: options.value("id") ?? options.value("source") ?? "default",
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
  const word = options.value("sharing") ?? "shared";
  const sharing = SHARING.find((each) => each === word.toLowerCase());
  if (sharing === undefined) throw options.invalid(`unsupported sharing value "${word}"`, { word, known: SHARING });
  const source = joinPath("/", options.value("source") ?? "/");
  // Where owner or mode are given, BuildKit makes a directory of its own, unless a part of `from` is asked for.
  const isOwn = source === "/" && ["mode", "uid", "gid"].some((name) => options.value(name) !== undefined);
  return {
    type: "cache",
    target,
    id: options.value("id") ?? target,
    sharing,
    from: isOwn ? undefined : fromOf(options, context),
    source,
    readonly: options.readonly(false),
    ...options.owner(0o755),
  };
}

function parseSecret(options: MountOptions, context: MountContext): RunMount {
  if (options.value("from") !== undefined) throw options.invalid("secret mount should not have a from");
  if (options.value("id") !== undefined && options.value("source") !== undefined)
    throw options.invalid("both source and id can't be set");
  const target = options.optionalTarget(context);
  const id = options.value("id") ?? options.value("source") ?? target?.slice(target.lastIndexOf("/") + 1);
  if (id === undefined) throw options.invalid("invalid secret mount. one of source, target required");
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
  return from === undefined ? undefined : context.resolveFrom(from);
}

class MountOptions {
  readonly type: MountType;
  readonly #values: ReadonlyMap<string, string | undefined>;
  readonly #location: Location;

  constructor({ options }: RunMountFlag, location: Location) {
    this.#location = location;
    this.#values = new Map(options.map(([name, value]) => [ALIASES[name] ?? name, value]));
    const word = this.#values.get("type") ?? "bind";
    const type = TYPES.find((each) => each === word.toLowerCase());
    if (type === undefined) throw this.invalid(`unsupported mount type "${word}"`, { word, known: TYPES });
    this.type = type;
    for (const [name, value] of options) this.#check(name, value);
  }

  #check(written: string, value: string | undefined): void {
    const name = ALIASES[written] ?? written;
    const types = SPECIAL[name];
    const field = value === undefined ? written : `${written}=${value}`;
    if (types === undefined && !COMMON.includes(name))
      throw this.invalid(`unexpected key '${written}' in '${field}'`, {
        word: written,
        known: [...COMMON, ...Object.keys(SPECIAL), ...Object.keys(ALIASES)],
      });
    if (value === undefined && !FLAGS.includes(name))
      throw this.invalid(`invalid field '${field}' must be a key=value pair`, { word: field });
    if (types?.includes(this.type) === false) throw this.invalid(`${name} not allowed for "${this.type}" type mounts`);
    if (FLAGS.includes(name)) this.flag(name);
  }

  /** Undefined where it is absent or empty. */
  value(name: string): string | undefined {
    return this.#values.get(name) || undefined;
  }

  flag(name: string): boolean {
    if (!this.#values.has(name)) return false;
    const text = this.#values.get(name) ?? "true";
    if (TRUE.includes(text)) return true;
    if (FALSE.includes(text)) return false;
    throw this.invalid(`invalid value for ${name}: ${text}`, { word: text });
  }

  readonly(fallback: boolean): boolean {
    if (this.#values.has("readonly")) return this.flag("readonly");
    return this.#values.has("readwrite") ? !this.flag("readwrite") : fallback;
  }

  optionalTarget({ workdir }: MountContext): string | undefined {
    const target = this.value("target");
    return target === undefined ? undefined : joinPath(workdir, target);
  }

  target(context: MountContext): string {
    const target = this.optionalTarget(context) ?? joinPath(context.workdir, "");
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
    const text = this.value("size");
    if (text === undefined) return undefined;
    const match = /^(\d+(?:\.\d+)?)\s?([kmgtp]?)(?:i?b)?$/i.exec(text);
    if (match === null) throw this.invalid(`invalid value for size: ${text}`, { word: text });
    return Math.floor(Number(match[1]) * (UNITS[(match[2] ?? "").toLowerCase()] ?? 1));
  }

  #number(name: string, radix: 8 | 10): number | undefined {
    const text = this.#values.get(name);
    if (text === undefined) return undefined;
    const isNumber = (radix === 8 ? /^[0-7]+$/ : /^\d+$/).test(text) && Number.parseInt(text, radix) <= 0xffff_ffff;
    if (!isNumber) throw this.invalid(`invalid value ${text} for ${name}`, { word: text });
    return Number.parseInt(text, radix);
  }

  invalid(
    reason: string,
    { word, known = [] }: { readonly word?: string; readonly known?: readonly string[] } = {},
  ): GraphError {
    const near = word === undefined ? undefined : nearest(word, known);
    return new GraphError("MOUNT_INVALID", `Cannot use --mount: ${reason}`, {
      location: this.#location,
      word,
      hint: near === undefined ? undefined : `Did you mean "${near}"?`,
    });
  }
}
