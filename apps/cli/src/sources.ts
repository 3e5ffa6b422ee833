import { existsSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createIgnoreMatcher, type IgnoreMatcher, parseDockerignore } from "@varve/dockerfile";
import type { ContextSource } from "@varve/executor";
import type { NamedContext } from "@varve/graph";
import { CodedError } from "@varve/oci";
import { type CliErrorCode, UsageError } from "./errors.ts";
import type { Parsed } from "./flags.ts";
import { isPlace } from "./places/place.ts";
import { readStandardInput, readStandardInputText } from "./standard-input.ts";

/** The Dockerfile's text, and the contexts that steps copy from. */
export interface Sources {
  readonly dockerfile: string;
  /** For messages. */
  readonly file: string;
  readonly contexts: ReadonlyMap<string, ContextSource>;
  readonly namedContexts: ReadonlyMap<string, NamedContext>;
}

class SourceError extends CodedError<CliErrorCode> {}

/**
 * Opens what the command line names: context directory, Dockerfile, ignore file, further contexts. `makeScratch` gives
 * a directory for what comes from standard input.
 * @throws UsageError, SourceError `DOCKERFILE_MISSING`.
 */
export async function openSources(flags: Parsed, makeScratch: () => Promise<string>): Promise<Sources> {
  const [place, ...others] = flags.positionals;
  if (place === undefined)
    throw new UsageError(
      "Cannot build: no build context was given",
      "Give the directory as the last argument: varve build .",
    );
  if (others.length > 0)
    throw new UsageError(
      `Cannot build: one build context was wanted, not ${flags.positionals.length} (${flags.positionals.join(" ")})`,
    );
  return place === "-" ? openStandardInput(flags, makeScratch) : openDirectory(place, flags);
}

async function openDirectory(place: string, flags: Parsed): Promise<Sources> {
  const directory = contextDirectory(place);
  const name = flags.value("file");
  const { text, file } =
    name === "-"
      ? { text: await readStandardInputText(), file: "Dockerfile" }
      : await readDockerfile(name === undefined ? undefined : resolve(name), directory);
  const contexts = new Map<string, ContextSource>([
    ["", { type: "directory", path: directory, ...(await readIgnore(directory, file)) }],
  ]);
  return { dockerfile: text, file, contexts, namedContexts: await openNamedContexts(flags, contexts) };
}

/** A Dockerfile without a context, or a context in a tar, whose Dockerfile is in it. No ignore file counts, as in BuildKit. */
async function openStandardInput(flags: Parsed, makeScratch: () => Promise<string>): Promise<Sources> {
  const name = flags.value("file");
  if (name === "-") throw new UsageError("Cannot build: context and Dockerfile can't both be standard input");
  const input = await readStandardInput(await makeScratch());
  const contexts = new Map<string, ContextSource>();
  if (input.type === "dockerfile") {
    if (name !== undefined)
      throw new UsageError(
        `Cannot build: standard input is a Dockerfile, so "${name}" can't be one`,
        "Give the directory as the context, or a tar on standard input",
      );
    return {
      dockerfile: input.text,
      file: "Dockerfile",
      contexts,
      namedContexts: await openNamedContexts(flags, contexts),
    };
  }
  const { directory } = input;
  const { text, file } = await readDockerfile(name === undefined ? undefined : join(directory, name), directory);
  contexts.set("", { type: "directory", path: directory, ignore: undefined });
  const shown = file.slice(directory.length + 1);
  return { dockerfile: text, file: shown, contexts, namedContexts: await openNamedContexts(flags, contexts) };
}

function contextDirectory(place: string): string {
  if (/^(?:https?|git|ssh):\/\/|^git@/.test(place))
    throw new UsageError(
      `Cannot build: build context "${place}" is not on this machine`,
      "Clone or download it, and give the directory",
    );
  const directory = resolve(place);
  if (!existsSync(directory)) throw new UsageError(`Cannot build: build context "${place}" does not exist`);
  if (statSync(directory).isDirectory()) return directory;
  throw new UsageError(
    `Cannot build: build context "${place}" is no directory`,
    "Name the Dockerfile with -f, and its directory as the context",
  );
}

/** The Dockerfile at `path`; `Dockerfile` or `dockerfile` of the directory where none is named. */
async function readDockerfile(
  path: string | undefined,
  directory: string,
): Promise<{ readonly text: string; readonly file: string }> {
  const candidates = path === undefined ? [join(directory, "Dockerfile"), join(directory, "dockerfile")] : [path];
  for (const file of candidates) {
    const text = await readFile(file, "utf8").catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === "ENOENT") return undefined;
      throw new SourceError("DOCKERFILE_MISSING", `Cannot read Dockerfile "${file}": ${cause.code ?? cause.message}`, {
        cause,
      });
    });
    if (text !== undefined) return { text, file };
  }
  throw new SourceError("DOCKERFILE_MISSING", `Cannot read Dockerfile "${candidates[0]}": no such file or directory`, {
    hint: "Name it with -f, or give the directory that holds it",
  });
}

/** `<Dockerfile>.dockerignore` where it exists, else `.dockerignore` of the context. */
async function readIgnore(
  directory: string,
  dockerfile: string,
): Promise<{ readonly ignore: IgnoreMatcher | undefined; readonly ignoreFile?: string }> {
  for (const path of [`${resolve(directory, dockerfile)}.dockerignore`, join(directory, ".dockerignore")]) {
    const text = await readFile(path, "utf8").catch(() => undefined);
    if (text === undefined) continue;
    const patterns = parseDockerignore(text);
    return { ignore: patterns.length === 0 ? undefined : createIgnoreMatcher(patterns), ignoreFile: path };
  }
  return { ignore: undefined };
}

async function openNamedContexts(
  flags: Parsed,
  contexts: Map<string, ContextSource>,
): Promise<ReadonlyMap<string, NamedContext>> {
  const named = new Map<string, NamedContext>();
  for (const text of flags.list("build-context")) {
    const equals = text.indexOf("=");
    if (equals <= 0)
      throw new UsageError(`Cannot use --build-context "${text}": wanted NAME=PATH or NAME=docker-image://REFERENCE`);
    const name = text.slice(0, equals).toLowerCase();
    const place = text.slice(equals + 1);
    if (isPlace(place)) {
      named.set(name, { type: "image", reference: place });
      continue;
    }
    const path = resolve(place);
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true)
      throw new UsageError(
        `Cannot use --build-context "${text}": "${place}" is no directory`,
        "An image is named docker-image://REFERENCE, oci-layout://PATH[:TAG], docker-archive://FILE or oci-archive:FILE",
      );
    contexts.set(name, { type: "directory", path, ...(await readIgnore(path, join(path, "Dockerfile"))) });
    named.set(name, { type: "context", name });
  }
  return named;
}
