import { DockerfileError } from "./errors.ts";
import type { Directives } from "./instruction.ts";
import { trim } from "./white-space.ts";

const DIRECTIVE = /^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=(.+)$/s;
const KNOWN = ["syntax", "escape", "check"];

/**
 * The parser directives at the very top of a Dockerfile: the first line that is none, an unknown one included, ends
 * them. `count`: how many lines they take.
 * @throws DockerfileError `SYNTAX` for one that stands twice, or an escape that is neither `\` nor a backtick.
 */
export function parseDirectives(
  lines: readonly string[],
  file: string,
): { readonly directives: Directives; readonly count: number } {
  const found = new Map<string, { readonly value: string; readonly line: number }>();
  let count = 0;
  for (const text of lines) {
    const match = DIRECTIVE.exec(text);
    const name = match?.[1]?.toLowerCase() ?? "";
    const value = trim(match?.[2] ?? "");
    if (value === "" || !KNOWN.includes(name)) break;
    count += 1;
    if (found.has(name)) throw syntax(`only one ${name} parser directive can be used`, { file, line: count });
    found.set(name, { value, line: count });
  }
  const escape = found.get("escape");
  const syntaxImage = found.get("syntax")?.value;
  const check = found.get("check")?.value;
  return {
    count,
    directives: {
      escape: escape === undefined ? "\\" : parseEscape(escape.value, { file, line: escape.line }),
      ...(syntaxImage === undefined ? {} : { syntax: syntaxImage }),
      ...(check === undefined ? {} : { check: parseCheck(check) }),
    },
  };
}

function parseEscape(value: string, place: { readonly file: string; readonly line: number }): "\\" | "`" {
  if (value === "\\" || value === "`") return value;
  throw syntax(`invalid escape token "${value}" does not match \` or \\`, place);
}

function syntax(reason: string, { file, line }: { readonly file: string; readonly line: number }): DockerfileError {
  return new DockerfileError("SYNTAX", `Cannot parse Dockerfile: ${reason}`, {
    location: { file, line, endLine: line },
  });
}

/** `skip=A,B;error=true;experimental=C`, as the directive and BUILDKIT_DOCKERFILE_CHECK have it. */
export function parseCheck(value: string): NonNullable<Directives["check"]> {
  const options = new Map(
    value.split(";").map((part) => {
      const equals = part.indexOf("=");
      return [
        trim(equals < 0 ? part : part.slice(0, equals)).toLowerCase(),
        trim(equals < 0 ? "" : part.slice(equals + 1)),
      ] as const;
    }),
  );
  const experimental = options.get("experimental");
  return {
    skip: parseNames(options.get("skip") ?? ""),
    error: options.get("error")?.toLowerCase() === "true",
    ...(experimental === undefined ? {} : { experimental: parseNames(experimental) }),
  };
}

function parseNames(list: string): readonly string[] | "all" {
  const names = list
    .split(",")
    .map(trim)
    .filter((name) => name !== "");
  return names.some((name) => name.toLowerCase() === "all") ? "all" : names;
}
