/** A real git server for tests: repositories of this machine through git's own http-backend, and plain files. */
import { execFileSync, spawn } from "node:child_process";
import { createReadStream, mkdirSync, statSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";

export interface RunningGitServer extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** Paths that were asked for, in order. */
  readonly requests: readonly string[];
}

export interface GitServerOptions {
  /** Value of the Authorization header without which nothing is given. */
  readonly authorization?: string;
}

/** Serves what is below `root`: `NAME.git` as repositories, all else as files dated 2001-02-03. */
export async function serveGit(root: string, { authorization }: GitServerOptions = {}): Promise<RunningGitServer> {
  const requests: string[] = [];
  const server: Server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://x").pathname;
    requests.push(path);
    if (authorization !== undefined && request.headers.authorization !== authorization)
      response.writeHead(401, { "www-authenticate": "Basic" }).end();
    else if (path.includes(".git/")) runBackend(root, request, response);
    else serveFile(join(root, decodeURIComponent(path)), response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function serveFile(path: string, response: ServerResponse): void {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return void response.writeHead(404).end();
  response.writeHead(200, { "last-modified": "Sat, 03 Feb 2001 04:05:06 GMT" });
  createReadStream(path).pipe(response);
}

/** git-http-backend(1) is a CGI program. */
function runBackend(root: string, request: IncomingMessage, response: ServerResponse): void {
  const { pathname, search } = new URL(request.url ?? "/", "http://x");
  const program = spawn("git", ["http-backend"], {
    env: {
      ...process.env,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: "1",
      GIT_CONFIG_COUNT: "1",
      GIT_CONFIG_KEY_0: "safe.directory",
      GIT_CONFIG_VALUE_0: "*",
      PATH_INFO: pathname,
      QUERY_STRING: search.slice(1),
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers["content-type"] ?? "",
      HTTP_CONTENT_ENCODING: request.headers["content-encoding"] ?? "",
      GIT_PROTOCOL: String(request.headers["git-protocol"] ?? ""),
    },
    stdio: ["pipe", "pipe", "inherit"],
  });
  request.pipe(program.stdin);
  const chunks: Buffer[] = [];
  program.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  program.on("close", () => {
    const output = Buffer.concat(chunks);
    const end = output.indexOf("\r\n\r\n");
    const lines = output.subarray(0, end).toString("latin1").split("\r\n");
    const headers = lines.map((line) => line.split(/: (.*)/s, 2) as [string, string]);
    const status = headers.find(([name]) => name === "Status")?.[1] ?? "200";
    response.writeHead(Number.parseInt(status, 10), headers.filter(([name]) => name !== "Status").flat());
    response.end(output.subarray(end + 4));
  });
}

/** A repository with one commit for each of `commits`, each on top of the one before. Gives the commits' ids. */
export function makeRepository(
  directory: string,
  commits: readonly Readonly<Record<string, string>>[],
): readonly string[] {
  mkdirSync(directory, { recursive: true });
  git(directory, "init", "-q", "-b", "main");
  git(directory, "config", "uploadpack.allowAnySHA1InWant", "true");
  return commits.map((files, position) => {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(directory, name)), { recursive: true });
      writeFileSync(join(directory, name), text);
    }
    git(directory, "add", "-A");
    git(directory, "commit", "-q", "-m", `commit ${position + 1}`);
    return git(directory, "rev-parse", "HEAD");
  });
}

/** Runs git there, as somebody. */
export function git(directory: string, ...args: readonly string[]): string {
  const identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "safe.directory=*"];
  return execFileSync("git", [...identity, "-C", directory, ...args], { encoding: "utf8" }).trim();
}
