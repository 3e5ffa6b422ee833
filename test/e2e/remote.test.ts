/** Build contexts and sources of ADD that are on other machines: git repositories, tars and files over http. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { digestOf } from "@varve/oci";
import { git, makeRepository, type RunningGitServer, serveGit } from "../../tools/git-server.ts";
import { Workspace } from "./varve.ts";

const DOCKERFILE = "FROM busybox\nCOPY . /src/\n";
const work = new Workspace();
const root = work.file("www");
let server: RunningGitServer;
let commits: readonly string[] = [];
let count = 0;

beforeAll(async () => {
  commits = makeRepository(join(root, "app.git"), [
    { Dockerfile: DOCKERFILE, "a.txt": "one\n", ".dockerignore": "a.txt\n" },
    { "a.txt": "two\n", "sub/Dockerfile": DOCKERFILE, "sub/b.txt": "b\n", "sub/other": "FROM busybox\n" },
  ]);
  const repository = join(root, "app.git");
  git(repository, "tag", "-a", "v1", "-m", "first", commits[0] ?? "");
  git(repository, "branch", "dev", commits[0] ?? "");
  const files = work.file("files");
  mkdirSync(join(files, "d"), { recursive: true });
  writeFileSync(join(files, "Dockerfile"), DOCKERFILE);
  writeFileSync(join(files, "d", "c.txt"), "c\n");
  for (const [name, option] of [
    ["context.tar", "-cf"],
    ["context.tgz", "-czf"],
  ] as const)
    execFileSync("tar", [option, join(root, name), "-C", files, "."]);
  writeFileSync(join(root, "one"), "FROM busybox\nCOPY context /got\n");
  writeFileSync(join(root, "a b.txt"), "spaced\n");
  server = await serveGit(root);
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  work[Symbol.dispose]();
});

/** Builds into a directory, and gives its path. */
async function files(...args: readonly string[]): Promise<string> {
  const dest = work.file(`out${(count += 1)}`);
  await work.build(["-o", dest, ...args]);
  return dest;
}

/** Builds a Dockerfile of these lines on the base. */
function added(lines: string, ...args: readonly string[]): Promise<string> {
  return files(...args, work.context({ Dockerfile: `FROM busybox\n${lines}\n` }));
}

describe("a build context", () => {
  test.each([
    ["a repository", "/app.git", "a.txt=two,sub"],
    ["a branch of it", "/app.git#dev", "a.txt=one"],
    ["a tag", "/app.git#v1", "a.txt=one"],
    ["a directory of it", "/app.git#main:sub", "b.txt,other"],
    ["the same in a query", "/app.git?branch=main&subdir=sub", "b.txt,other"],
    ["a tag in a query, with .git", "/app.git?tag=v1&keep-git-dir=true", ".git,a.txt=one"],
    ["a tar", "/context.tar", "d"],
    ["a compressed tar", "/context.tgz", "d"],
  ])("is %s", async (_, place, wanted) => {
    const out = await files(`${server.url}${place}`);
    const names = readdirSync(join(out, "src")).filter((name) => !["Dockerfile", ".dockerignore"].includes(name));
    const seen = names.map((name) =>
      name === "a.txt" ? `a.txt=${readFileSync(join(out, "src", name), "utf8").trim()}` : name,
    );
    expect(seen.join(",")).toBe(wanted);
  });

  test("is one commit, and no other", async () => {
    const url = `${server.url}/app.git`;
    const out = await files(`${url}?ref=main&checksum=${commits[1]}`);
    expect(existsSync(join(out, "src", "sub"))).toBe(true);
    const tagged = git(join(root, "app.git"), "rev-parse", "v1");
    await files(`${url}?tag=v1&checksum=${tagged}`);
    await files(`${url}#${commits[0]}`);
    const failed = await work.fail([`${url}?ref=main&checksum=${commits[0]}`]);
    expect(failed.stderr).toContain("error CHECKSUM_MISMATCH");
    expect((await work.fail([`${url}#nowhere`])).stderr).toContain("error DOWNLOAD_FAILED");
    expect((await work.fail([`${url}?nonsense=1`])).stderr).toContain('unexpected query "nonsense"');
  });

  test("keeps .git where the build arg asks for it", async () => {
    const out = await files("--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1", `${server.url}/app.git`);
    expect(existsSync(join(out, "src", ".git"))).toBe(true);
  });

  test("takes the Dockerfile from the repository, this machine, standard input or a URL", async () => {
    const url = `${server.url}/app.git`;
    expect(existsSync(join(await files("-f", "sub/other", url), "src"))).toBe(false);
    const local = join(work.context({ Dockerfile: "FROM busybox\nCOPY a.txt /local\n" }), "Dockerfile");
    expect(existsSync(join(await files("-f", local, url), "local"))).toBe(true);
    const dest = work.file("stdin");
    await work.build(["-o", dest, "-f", "-", url], { input: "FROM busybox\nCOPY a.txt /stdin\n" });
    expect(existsSync(join(dest, "stdin"))).toBe(true);
    const context = work.context({ context: "x\n" });
    expect(readFileSync(join(await files("-f", `${server.url}/one`, context), "got"), "utf8")).toBe("x\n");
  });

  test("may be one file: the Dockerfile", async () => {
    expect(readFileSync(join(await files(`${server.url}/one`), "got"), "utf8")).toContain("COPY context");
  });

  test("may have a name: a repository, or a file as it is", async () => {
    const contexts = [
      "--build-context",
      `repo=${server.url}/app.git#main:sub`,
      "--build-context",
      `f=${server.url}/context.tgz`,
    ];
    const out = await added("COPY --from=repo b.txt /b\nCOPY --from=f context /f.tgz", ...contexts);
    expect(readFileSync(join(out, "b"), "utf8")).toBe("b\n");
    expect(readFileSync(join(out, "f.tgz")).equals(readFileSync(join(root, "context.tgz")))).toBe(true);
  });

  test("is asked for with a token that was given as a secret", async () => {
    const basic = `basic ${Buffer.from("x-access-token:s3cret").toString("base64")}`;
    await using closed = await serveGit(root, { authorization: basic });
    expect((await work.fail([`${closed.url}/app.git`])).stderr).toContain("error DOWNLOAD_FAILED");
    const outcome = await work.build(["--secret", "id=GIT_AUTH_TOKEN,env=TOKEN", `${closed.url}/app.git`], {
      env: { TOKEN: "s3cret" },
    });
    expect(outcome.stderr).not.toContain("s3cret");
  });
});

describe("ADD", () => {
  test("checks out a repository with all its options", async () => {
    const url = `${server.url}/app.git`;
    const out = await added(
      [
        `ADD ${url} /plain`,
        `ADD --keep-git-dir=true ${url}#v1 /kept`,
        `ADD --exclude=*.txt --chown=5:6 --chmod=700 ${url}?subdir=sub /sub`,
        `ADD --link --checksum=${commits[0]} ${url}#dev /linked/`,
        "RUN stat -c '%u:%g %a' /sub/other > /stat",
      ].join("\n"),
    );
    expect(readdirSync(join(out, "plain"))).toEqual([".dockerignore", "Dockerfile", "a.txt", "sub"]);
    expect(readdirSync(join(out, "kept"))).toContain(".git");
    expect(readdirSync(join(out, "sub"))).toEqual(["Dockerfile", "other"]);
    expect(readFileSync(join(out, "stat"), "utf8")).toBe("5:6 700\n");
    expect(statSync(join(out, "plain", "a.txt")).mode & 0o777).toBe(0o644);
    expect(readFileSync(join(out, "linked", "a.txt"), "utf8")).toBe("one\n");
  });

  test("downloads files: name, mode, time, checksum", async () => {
    const url = `${server.url}/a%20b.txt`;
    const checksum = digestOf(Buffer.from("spaced\n"));
    const out = await added(`ADD ${url} /d/\nADD --checksum=${checksum} --chmod=644 ${url}?q=1#x /e/f`);
    const { mode, mtime } = statSync(join(out, "d", "a b.txt"));
    expect([mode & 0o777, mtime.toISOString()]).toEqual([0o600, "2001-02-03T04:05:06.000Z"]);
    expect(statSync(join(out, "e", "f")).mode & 0o777).toBe(0o644);
  });

  test("unpacks what it downloads where it is told to, and leaves local archives alone where it is told to", async () => {
    const tgz = `${server.url}/context.tgz`;
    const context = work.context({
      Dockerfile: `FROM busybox\nADD ${tgz} /raw/\nADD --unpack=true ${tgz} /open/\nADD local.tar /local/\nADD --unpack=false local.tar /kept/\n`,
    });
    execFileSync("cp", [join(root, "context.tar"), join(context, "local.tar")]);
    const out = await files(context);
    expect(readdirSync(join(out, "raw"))).toEqual(["context.tgz"]);
    expect(readdirSync(join(out, "open"))).toEqual(["Dockerfile", "d"]);
    expect(readdirSync(join(out, "local"))).toEqual(["Dockerfile", "d"]);
    expect(readdirSync(join(out, "kept"))).toEqual(["local.tar"]);
  });

  test.each([
    ["a URL that is not there", "ADD SERVER/none /x", "DOWNLOAD_FAILED", "the server answered 404"],
    ["another content", `ADD --checksum=${digestOf(Buffer.from("no"))} SERVER/one /x`, "CHECKSUM_MISMATCH", "wanted"],
    ["a branch that is not there", "ADD SERVER/app.git#none /x", "DOWNLOAD_FAILED", "none"],
    ["a directory that is not there", "ADD SERVER/app.git#main:none /x", "DOWNLOAD_FAILED", '"none" is no directory'],
  ])("refuses %s", async (_, line, code, message) => {
    const Dockerfile = `FROM busybox\n${line.replace("SERVER", server.url)}\n`;
    const { stderr } = await work.fail([work.context({ Dockerfile })]);
    expect(stderr).toContain(`error ${code}`);
    expect(stderr).toContain(message);
    expect(stderr).toContain("Dockerfile:2");
  });

  test("asks nobody for what is cached and named by its content, and only for the commit of a branch", async () => {
    const checksum = digestOf(Buffer.from("spaced\n"));
    const lines = [
      `ADD --checksum=${checksum} ${server.url}/a%20b.txt /f`,
      `ADD ${server.url}/app.git#${commits[1]} /g`,
    ];
    await added(lines.join("\n"));
    const before = server.requests.length;
    await added(lines.join("\n"));
    expect(server.requests.slice(before)).toEqual([]);
    const branch = `ADD ${server.url}/app.git#dev /branch`;
    await added(branch);
    const asked = server.requests.length;
    await added(branch);
    const paths = new Set(server.requests.slice(asked).map((path) => path.replace(/^\/app\.git/, "")));
    expect([...paths]).toEqual(["/info/refs", "/git-upload-pack"]);
    expect(server.requests.length - asked).toBeLessThan(asked - before);
  });

  test("is cached by what it got: another commit, or another file, is added again", async () => {
    makeRepository(join(root, "moving.git"), [{ f: "1" }]);
    writeFileSync(join(root, "moving"), "1");
    const Dockerfile = `FROM busybox\nADD ${server.url}/moving.git /git\nADD ${server.url}/moving /file\n`;
    const context = work.context({ Dockerfile });
    expect((await work.build([context])).stderr).toContain("2 steps, 0 cached");
    expect((await work.build([context])).stderr).toContain("2 steps, 2 cached");
    makeRepository(join(root, "moving.git"), [{ f: "2" }]);
    writeFileSync(join(root, "moving"), "2");
    expect((await work.build([context])).stderr).toContain("2 steps, 0 cached");
  });
});
