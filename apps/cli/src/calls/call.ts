import { UsageError } from "../errors.ts";
import { splitCsv } from "../csv.ts";
import type { Parsed } from "../flags.ts";

/** What `--call` and `--check` ask for. */
export interface Call {
  readonly method: "build" | "check" | "outline" | "targets" | "help";
  readonly format: "text" | "json";
  /** What is found does not make the exit code. */
  readonly ignoreStatus: boolean;
}

const METHODS: Readonly<Record<string, Call["method"]>> = {
  build: "build",
  check: "check",
  lint: "check",
  outline: "outline",
  targets: "targets",
  help: "help",
};
const FORMATS = ["text", "json"] as const;

/** `--call=METHOD[,format=text|json][,ignorestatus=true]`, as buildx has it. @throws UsageError */
export function parseCall(flags: Parsed): Call {
  const text = flags.value("call") ?? (flags.is("check") ? "check" : "build");
  const fields = splitCsv(text);
  const options = new Map(fields.filter((field) => field.includes("=")).map(splitOption));
  const name = fields.find((field) => !field.includes("=")) ?? options.get("name") ?? "";
  const word = options.get("format") ?? "text";
  const format = FORMATS.find((each) => each === word);
  const method = METHODS[name];
  const invalid = (what: string): UsageError => new UsageError(`Cannot use --call "${text}": ${what}`);
  if (method === undefined) throw invalid(`wanted ${Object.keys(METHODS).join(", ")}`);
  if (format === undefined) throw invalid(`format "${word}" is not known; wanted text or json`);
  const unknown = [...options.keys()].find((each) => !["name", "format", "ignorestatus"].includes(each));
  if (unknown !== undefined) throw invalid(`option "${unknown}" is not known; wanted format or ignorestatus`);
  return { method, format, ignoreStatus: ["true", "1"].includes(options.get("ignorestatus") ?? "") };
}

function splitOption(field: string): readonly [string, string] {
  const equals = field.indexOf("=");
  return [field.slice(0, equals).toLowerCase(), field.slice(equals + 1)];
}
