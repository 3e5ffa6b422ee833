import { docComment, parseDockerfile } from "@varve/dockerfile";
import type { BuildGraph, RunMount } from "@varve/graph";
import { formatTable } from "../format-table.ts";
import type { Call } from "./call.ts";
import { type JsonLocation, toJsonLocation, toJsonSource, writeJson } from "./source-json.ts";

/** What a target can be given: BuildKit's `frontend.outline`. */
interface Outline {
  readonly name?: string;
  readonly description?: string;
  readonly args?: readonly OutlineArg[];
  readonly secrets?: readonly OutlineMount[];
  readonly ssh?: readonly OutlineMount[];
  readonly sources: readonly string[];
}

interface OutlineArg {
  readonly name: string;
  readonly description?: string;
  readonly value?: string;
  readonly location: JsonLocation;
}

interface OutlineMount {
  readonly name: string;
  readonly required?: true;
  readonly location: JsonLocation;
}

export interface OutlineSource {
  readonly text: string;
  readonly file: string;
  /** Of the command line. */
  readonly target: string | undefined;
}

/** `--call=outline`: prints the build args, secrets and ssh agents that count in a target. Gives 0. */
export function showOutline(graph: BuildGraph, source: OutlineSource, { format }: Call): number {
  const outline = describeTarget(graph, source);
  if (format === "json") writeJson(outline);
  else process.stdout.write(formatOutline(outline));
  return 0;
}

function describeTarget(graph: BuildGraph, { text, file, target }: OutlineSource): Outline {
  const lines = text.split(/\r?\n/);
  const { stages } = parseDockerfile(text, { file }).dockerfile;
  const wanted = target?.toLowerCase();
  const stage = stages.findLast(({ from }) => wanted === undefined || from.stageName?.toLowerCase() === wanted);
  const name = stage?.from.stageName?.toLowerCase();
  const description = stage === undefined ? "" : docComment(lines, stage.from.location.line, name ?? "");
  const args = graph.args.map((arg): OutlineArg => {
    const comment = docComment(lines, arg.location.line, arg.name);
    return {
      name: arg.name,
      ...(comment === "" ? {} : { description: comment }),
      ...(arg.value === undefined || arg.value === "" ? {} : { value: arg.value }),
      location: toJsonLocation(arg.location),
    };
  });
  return {
    ...(name === undefined ? {} : { name }),
    ...(description === "" ? {} : { description }),
    ...unlessEmpty("args", args),
    ...unlessEmpty("secrets", mountsOf(graph, "secret")),
    ...unlessEmpty("ssh", mountsOf(graph, "ssh")),
    sources: [toJsonSource(text)],
  };
}

function unlessEmpty<Name extends string, T>(
  name: Name,
  values: readonly T[],
): { readonly [K in Name]?: readonly T[] } {
  return (values.length === 0 ? {} : { [name]: values }) as { readonly [K in Name]?: readonly T[] };
}

/** Each once, required where one mount of it is. */
function mountsOf({ steps }: BuildGraph, type: "secret" | "ssh"): readonly OutlineMount[] {
  const found = new Map<string, OutlineMount>();
  for (const step of steps) {
    if (step.kind !== "run" || step.location === undefined) continue;
    for (const mount of step.mounts.filter(isOf(type))) {
      const before = found.get(mount.id);
      const required = mount.required || before?.required === true;
      const location = before?.location ?? toJsonLocation(step.location);
      found.set(mount.id, { name: mount.id, ...(required ? { required: true } : {}), location });
    }
  }
  const lineOf = ({ location }: OutlineMount): number => location.ranges[0]?.start.line ?? 0;
  return [...found.values()].toSorted((a, b) => lineOf(a) - lineOf(b));
}

function isOf<T extends RunMount["type"]>(type: T): (mount: RunMount) => mount is Extract<RunMount, { type: T }> {
  return (mount): mount is Extract<RunMount, { type: T }> => mount.type === type;
}

function formatOutline({ name, description, args = [], secrets = [], ssh = [] }: Outline): string {
  const head = [
    ["TARGET:", name ?? "(default)"],
    ...(description === undefined ? [] : [["DESCRIPTION:", description]]),
  ];
  const mounts = (title: string, list: readonly OutlineMount[]): readonly (readonly string[])[] => [
    [title, "REQUIRED"],
    ...list.map((mount) => [mount.name, mount.required === true ? "true" : ""]),
  ];
  const tables = [
    head,
    ...(args.length === 0 ? [] : [[["BUILD ARG", "VALUE", "DESCRIPTION"], ...args.map(rowOf)]]),
    ...(secrets.length === 0 ? [] : [mounts("SECRET", secrets)]),
    ...(ssh.length === 0 ? [] : [mounts("SSH", ssh)]),
  ];
  return tables.map((rows) => formatTable(rows)).join("\n");
}

function rowOf({ name, value = "", description = "" }: OutlineArg): readonly string[] {
  return [name, value, description];
}
