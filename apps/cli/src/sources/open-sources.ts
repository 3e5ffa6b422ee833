import { existsSync, statSync } from "node:fs";
import { isAbsolute, join, relative, resolve } from "node:path";
import { createIgnoreMatcher, type IgnoreMatcher, parseDockerignore } from "@varve/dockerfile";
import type { ContextSource } from "@varve/executor";
import type { NamedContext } from "@varve/graph";
import { CodedError } from "@varve/oci";
import { buildArgs, secrets } from "../build-settings.ts";
import { type CliErrorCode, UsageError } from "../errors.ts";
import type { Parsed } from "../flags.ts";
import { isPlace, parsePlace } from "../places/place.ts";
import { fetchContext, fetchFile, isHttp, isRemote, type RemoteOptions } from "./remote-context.ts";
import { readText } from "./read-text.ts";
import { readStandardInput, readStandardInputText } from "./standard-input.ts";

/** The Dockerfile's text, and the contexts that steps copy from. */
export interface Sources {
  readonly dockerfile: string;
  /** For messages. */
  readonly file: string;
  readonly contexts: ReadonlyMap<string, ContextSource>;
  readonly namedContexts: ReadonlyMap<string, NamedContext>;
}

const DOCKERFILE = "Dockerfile";
const IGNORE_FILE = ".dockerignore";

/** Where what is fetched goes, and who is told of it. */
export type SourceOptions = Pick<RemoteOptions, "makeScratch" | "signal" | "onEvent">;

class SourceError extends CodedError<CliErrorCode> {}

/**
 * Opens what the command line names: the build context (a directory, a git repository, a URL, or standard input), the
 * Dockerfile, the ignore file, further contexts.
 * @throws UsageError, SourceError `DOCKERFILE_MISSING`, StepError `DOWNLOAD_FAILED`.
 */
export async function openSources(flags: Parsed, given: SourceOptions): Promise<Sources> {
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
  const keepGitDir = buildArgs(flags).get("BUILDKIT_CONTEXT_KEEP_GIT_DIR") ?? "";
  const options = { ...given, secrets: secrets(flags), keepGitDir: /^(?:1|t|true)$/i.test(keepGitDir) };
  const { dockerfile, main } = await openMain(place, flags, options);
  const contexts = new Map<string, ContextSource>(main === undefined ? [] : [["", main]]);
  const namedContexts = await openNamedContexts(flags, contexts, options);
  return { dockerfile: dockerfile.text, file: dockerfile.file, contexts, namedContexts };
}

interface Main {
  readonly dockerfile: DockerfileText;
  /** Undefined for a Dockerfile that came alone. */
  readonly main: ContextSource | undefined;
}

interface DockerfileText {
  readonly text: string;
  /** For messages. */
  readonly file: string;
}

async function openMain(place: string, flags: Parsed, options: RemoteOptions): Promise<Main> {
  if (place === "-") return openStandardInput(flags, options);
  return isRemote(place) ? openRemote(place, flags, options) : openDirectory(place, flags, options);
}

async function openDirectory(place: string, flags: Parsed, options: RemoteOptions): Promise<Main> {
  const directory = contextDirectory(place);
  const dockerfile = (await elsewhere(flags, options)) ?? (await readNamed(flags.value("file"), directory));
  const ignore = await readIgnore(`${resolve(directory, dockerfile.file)}.dockerignore`, join(directory, IGNORE_FILE));
  return { dockerfile, main: { type: "directory", path: directory, ...ignore } };
}

/** The Dockerfile, where it is not in the context: on standard input, or at a URL. */
async function elsewhere(flags: Parsed, options: RemoteOptions): Promise<DockerfileText | undefined> {
  const name = flags.value("file");
  if (name === "-") return { text: await readStandardInputText(), file: DOCKERFILE };
  if (name === undefined || !isHttp(name)) return undefined;
  return { text: await readText(await fetchFile(name, options)), file: DOCKERFILE };
}

function readNamed(name: string | undefined, directory: string): Promise<DockerfileText> {
  return readDockerfile(name === undefined ? undefined : resolve(name), directory);
}

/** A Dockerfile without a context, or a context in a tar, whose Dockerfile is in it. */
async function openStandardInput(flags: Parsed, { makeScratch }: RemoteOptions): Promise<Main> {
  const name = flags.value("file");
  if (name === "-") throw new UsageError("Cannot build: context and Dockerfile can't both be standard input");
  const input = await readStandardInput(await makeScratch());
  if (input.type === "context") return openFetched(input.directory, name);
  if (name === undefined) return { dockerfile: { text: input.text, file: DOCKERFILE }, main: undefined };
  throw new UsageError(
    `Cannot build: standard input is a Dockerfile, so "${name}" can't be one`,
    "Give the directory as the context, or a tar on standard input",
  );
}

/** A relative name of a Dockerfile is one in the context, an absolute one is of this machine: as buildx has it. */
async function openRemote(place: string, flags: Parsed, options: RemoteOptions): Promise<Main> {
  const name = flags.value("file");
  const given = await elsewhere(flags, options);
  const { directory, file } = await fetchContext(place, options);
  const main: ContextSource = { type: "directory", path: directory, ignore: undefined };
  if (given !== undefined) return { dockerfile: given, main };
  if (name !== undefined && isAbsolute(name)) return { dockerfile: await readDockerfile(name, directory), main };
  return openFetched(directory, file ?? name);
}

/** No ignore file counts, as in BuildKit. */
async function openFetched(directory: string, name: string | undefined): Promise<Main> {
  const { text, file } = await readDockerfile(name === undefined ? undefined : join(directory, name), directory);
  const main: ContextSource = { type: "directory", path: directory, ignore: undefined };
  return { dockerfile: { text, file: relative(directory, file) }, main };
}

function contextDirectory(place: string): string {
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
    const text = await readText(file).catch((cause: NodeJS.ErrnoException) => {
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

/** The first of these ignore files that exists. */
async function readIgnore(
  ...paths: readonly string[]
): Promise<{ readonly ignore: IgnoreMatcher | undefined; readonly ignoreFile?: string }> {
  for (const path of paths) {
    const text = await readText(path).catch(() => undefined);
    if (text === undefined) continue;
    const patterns = parseDockerignore(text);
    return { ignore: patterns.length === 0 ? undefined : createIgnoreMatcher(patterns), ignoreFile: path };
  }
  return { ignore: undefined };
}

/** Adds the named contexts that are files to `contexts`. */
async function openNamedContexts(
  flags: Parsed,
  contexts: Map<string, ContextSource>,
  options: RemoteOptions,
): Promise<ReadonlyMap<string, NamedContext>> {
  const named = new Map<string, NamedContext>();
  for (const text of flags.list("build-context")) {
    const equals = text.indexOf("=");
    if (equals <= 0)
      throw new UsageError(`Cannot use --build-context "${text}": wanted NAME=PATH or NAME=docker-image://REFERENCE`);
    const name = text.slice(0, equals).toLowerCase();
    const place = text.slice(equals + 1);
    if (isPlace(place)) {
      parsePlace(place);
      named.set(name, { type: "image", reference: place });
      continue;
    }
    contexts.set(name, await openNamed(place, text, options));
    named.set(name, { type: "context", name });
  }
  return named;
}

async function openNamed(place: string, text: string, options: RemoteOptions): Promise<ContextSource> {
  if (isRemote(place)) {
    const { directory } = await fetchContext(place, { ...options, unpack: false });
    return { type: "directory", path: directory, ignore: undefined };
  }
  const path = resolve(place);
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true)
    return { type: "directory", path, ...(await readIgnore(join(path, IGNORE_FILE))) };
  throw new UsageError(
    `Cannot use --build-context "${text}": "${place}" is no directory`,
    "An image is named docker-image://REFERENCE, oci-layout://PATH[:TAG], docker-archive://FILE or oci-archive:FILE",
  );
}
