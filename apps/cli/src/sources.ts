import { existsSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createIgnoreMatcher, type IgnoreMatcher, parseDockerignore } from "@varve/dockerfile";
import type { ContextSource } from "@varve/executor";
import type { NamedContext } from "@varve/graph";
import { CodedError } from "@varve/oci";
import { type CliErrorCode, UsageError } from "./errors.ts";
import type { Parsed } from "./flags.ts";

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
 * Opens what the command line names: context directory, Dockerfile, ignore file, further contexts.
 * @throws UsageError, SourceError `DOCKERFILE_MISSING`.
 */
export async function openSources(flags: Parsed): Promise<Sources> {
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
  const directory = await openContextPlace(place, flags);
  const { text, file } = await readDockerfile(flags.value("file"), directory);
  const contexts = new Map<string, ContextSource>();
  if (directory !== undefined)
    contexts.set("", { type: "directory", path: directory, ...(await readIgnore(directory, file)) });
  const namedContexts = await openNamedContexts(flags, contexts);
  return { dockerfile: text, file, contexts, namedContexts };
}

async function openContextPlace(place: string, flags: Parsed): Promise<string | undefined> {
  if (place === "-") {
    if (flags.value("file") === "-")
      throw new UsageError("Cannot build: context and Dockerfile can't both be standard input");
    return undefined;
  }
  const directory = resolve(place);
  if (!existsSync(directory)) throw new UsageError(`Cannot build: build context "${place}" does not exist`);
  if (!statSync(directory).isDirectory())
    throw new UsageError(
      `Cannot build: build context "${place}" is no directory`,
      "Name the Dockerfile with -f, and its directory as the context",
    );
  return directory;
}

async function readDockerfile(
  name: string | undefined,
  directory: string | undefined,
): Promise<{ readonly text: string; readonly file: string }> {
  if (name === "-" || directory === undefined) return { text: await readStandardInput(), file: "Dockerfile" };
  const candidates =
    name === undefined ? [join(directory, "Dockerfile"), join(directory, "dockerfile")] : [resolve(name)];
  for (const path of candidates) {
    const text = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === "ENOENT") return undefined;
      throw new SourceError("DOCKERFILE_MISSING", `Cannot read Dockerfile "${path}": ${cause.code ?? cause.message}`, {
        cause,
      });
    });
    if (text !== undefined) return { text, file: path };
  }
  throw new SourceError("DOCKERFILE_MISSING", `Cannot read Dockerfile "${candidates[0]}": no such file or directory`, {
    hint: "Name it with -f, or give the directory that holds it",
  });
}

async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
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
    if (/^(?:docker-image|oci-layout|docker-archive):\/\//.test(place)) {
      named.set(name, { type: "image", reference: place });
      continue;
    }
    const path = resolve(place);
    if (!existsSync(path) || !statSync(path).isDirectory())
      throw new UsageError(`Cannot use --build-context "${text}": "${place}" is no directory`);
    contexts.set(name, { type: "directory", path, ...(await readIgnore(path, join(path, "Dockerfile"))) });
    named.set(name, { type: "context", name });
  }
  return named;
}
