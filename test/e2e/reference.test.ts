/** Instructions and flags of the Dockerfile reference, built: what a file system and a config show of them. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { Archive, Workspace } from "./varve.ts";

const work = new Workspace();
let count = 0;

afterAll(() => work[Symbol.dispose]());

/** Builds `lines` on the base into a directory, and gives its path. */
async function files(lines: string, ...args: readonly string[]): Promise<string> {
  const dest = work.file(`out${(count += 1)}`);
  await work.build(["-o", dest, ...args, work.context({ Dockerfile: `FROM busybox\n${lines}\n` })]);
  return dest;
}

/** What the build of `lines` writes to /o. */
async function output(lines: string, ...args: readonly string[]): Promise<string> {
  return readFileSync(join(await files(lines, ...args), "o"), "utf8");
}

async function failure(lines: string, ...args: readonly string[]): Promise<string> {
  const { stderr } = await work.fail([...args, work.context({ Dockerfile: `FROM busybox\n${lines}\n` })]);
  return stderr;
}

describe("RUN --mount", () => {
  test("type=bind: context, file, stage, image; read-only, or writable without a trace", async () => {
    work.context({ "dir/a.txt": "a\n", "dir/b.log": "b\n", ".dockerignore": "**/*.log\n" });
    const shown = await output(`RUN --mount=target=/m ls /m/dir > /o
RUN --mount=type=bind,source=dir/a.txt,target=/m/file cat /m/file >> /o
RUN --mount=source=dir,target=/m touch /m/x 2> /dev/null || echo read-only >> /o
RUN --mount=source=dir,target=/m,rw touch /m/x && ls /m >> /o
RUN --mount=from=busybox,source=/etc,dst=/m grep -c ^app: /m/group >> /o
WORKDIR /w
RUN --mount=source=dir,target=rel ls rel >> /o
RUN ls /w >> /o`);
    expect(shown).toBe("a.txt\na\nread-only\na.txt\nx\n1\na.txt\n");
    expect(existsSync(join(work.file("context"), "dir", "x"))).toBe(false);
  });

  test("type=cache: owner, mode, what it starts from, between builds", async () => {
    const cache = "--mount=type=cache,target=/c,uid=7,gid=8,mode=0700";
    const lines = `RUN ${cache} stat -c '%u %g %a' /c > /o; echo x >> /c/log
RUN ${cache},sharing=locked wc -l < /c/log >> /o
RUN --mount=type=cache,id=from,from=busybox,source=/home/app,uid=7,target=/f stat -c '%u %a' /f >> /o
RUN --mount=type=cache,id=etc,from=busybox,source=/etc,target=/f ls /f/group >> /o
RUN --mount=type=cache,id=own,from=busybox,uid=7,target=/f ls /f >> /o; stat -c '%u %a' /f >> /o
RUN ${cache},ro touch /c/y 2> /dev/null || echo read-only >> /o`;
    expect(await output(lines)).toBe("7 8 700\n1\n0 755\n/f/group\n7 755\nread-only\n");
    expect(await output(lines, "--no-cache")).toContain("7 8 700\n2\n");
  });

  test("type=tmpfs: empty, limited, gone", async () => {
    const fill = "stat -c %a /t > /o; head -c 100000 /dev/zero > /t/x || echo full >> /o";
    const out = await files(`RUN --mount=type=tmpfs,target=/t,size=64k ls /t; ${fill}`);
    expect(readFileSync(join(out, "o"), "utf8")).toBe("1777\nfull\n");
    expect(existsSync(join(out, "t", "x"))).toBe(false);
  });

  test("type=secret: file, variable, owner; left out, or required", async () => {
    writeFileSync(work.file("secret"), "s3cret");
    const dest = work.file("secrets");
    const Dockerfile = `FROM busybox
RUN --mount=type=secret,id=s [ "$(cat /run/secrets/s)" = s3cret ] && stat -c '%u %g %a' /run/secrets/s > /o
RUN --mount=type=secret,id=s,target=/k/s,uid=5,gid=6,mode=0440 stat -c '%u %g %a' /k/s >> /o
RUN --mount=type=secret,id=e,env=E --mount=type=secret,id=s,env=S,target=/both [ "$E$S$(cat /both)" = "from envs3crets3cret" ]
RUN --mount=type=secret,id=none ls /run/secrets 2> /dev/null || echo none >> /o
`;
    const secrets = ["--secret", `id=s,src=${work.file("secret")}`, "--secret", "id=e,env=SECRET_OF_TEST"];
    await work.build([...secrets, "-o", dest, work.context({ Dockerfile })], { env: { SECRET_OF_TEST: "from env" } });
    expect(readFileSync(join(dest, "o"), "utf8")).toBe("0 0 400\n5 6 440\nnone\n");
    expect(existsSync(join(dest, "run", "secrets"))).toBe(false);
    expect(await failure("RUN --mount=type=secret,id=none,required true")).toContain("error SECRET_MISSING");
  });

  test("type=ssh: a socket that reaches the agent, the first one in SSH_AUTH_SOCK", async () => {
    const socket = work.file("agent.sock");
    const agent = createServer((client) => client.pipe(client));
    await new Promise<void>((resolve) => agent.listen(socket, resolve));
    const given = ["--ssh", `default=${socket}`, "--ssh", `other=${socket}`];
    const lines = `RUN --mount=type=ssh test -S $SSH_AUTH_SOCK && echo $SSH_AUTH_SOCK > /o
RUN --mount=type=ssh,id=other,target=/a/b,uid=5,gid=6,mode=0640 --mount=type=ssh echo $SSH_AUTH_SOCK >> /o; stat -c '%n %u %g %a' /a/b /run/buildkit/* >> /o
RUN --mount=type=ssh,id=none echo "[$SSH_AUTH_SOCK]" >> /o`;
    const shown = await output(lines, ...given).finally(() => agent.close());
    expect(shown).toBe("/run/buildkit/ssh_agent.0\n/a/b\n/a/b 5 6 640\n/run/buildkit/ssh_agent.1 0 0 600\n[]\n");
    expect(await failure("RUN --mount=type=ssh,required true")).toContain("error SSH_MISSING");
  });
});

describe("RUN", () => {
  test("--network=none has loopback alone, host and default the machine's", async () => {
    const lines = ["none", "host", "default"].map((mode) => `RUN --network=${mode} grep -c : /proc/net/dev >> /o`);
    const [none, host, standard] = (await output(lines.join("\n"))).trim().split("\n").map(Number);
    expect(none).toBe(1);
    expect(standard).toBe(host);
  });

  test("--security=insecure has to be allowed, sandbox has not", async () => {
    const lines = "RUN --security=insecure grep CapEff /proc/self/status > /o";
    expect(await failure(lines)).toContain("--allow security.insecure");
    const sandbox = await output("RUN --security=sandbox grep CapEff /proc/self/status > /o");
    expect(await output(lines, "--allow", "security.insecure")).not.toBe(sandbox);
  });

  test("takes here-documents: scripts, input, programs, several", async () => {
    const shown = await output(`RUN <<EOF
echo "one $0" >> /o
EOF
RUN <<EOF cat >> /o
$HOME is the shell's to expand
EOF
RUN <<-EOF
	echo tabs >> /o
	EOF
RUN <<"EOF"
#!/bin/awk -f
BEGIN { print "awk" >> "/o" }
EOF
RUN cat <<A >> /o && cat 3<<B <&3 >> /o
from A
A
from B
B`);
    expect(shown).toBe("one /bin/sh\n/root is the shell's to expand\ntabs\nawk\nfrom A\nfrom B\n");
  });

  test("sees SHELL, WORKDIR, USER, ENV and ARG as they stand", async () => {
    const shown = await output(`SHELL ["/bin/sh", "-u", "-c"]
ARG A=1
ENV B=2\${A}
WORKDIR /w/v
RUN echo "\${UNSET-unset} $A $B $PWD $(id -u)" > /o && chmod 666 /o
RUN (echo $UNSET) 2> /dev/null || echo "refused" >> /o
USER app
RUN echo "$HOME $(id -un)" >> /o`);
    expect(shown).toBe("unset 1 21 /w/v 0\nrefused\n/home/app app\n");
  });
});

describe("COPY", () => {
  test("--parents keeps directories, from a pivot on, with --exclude", async () => {
    work.context({ "p/q/r/x.txt": "x", "p/q/r/y.log": "y", "p/q/z.txt": "z", "p2/q/w.txt": "w", ".dockerignore": "" });
    const out = await files(`COPY --parents p/q/r/x.txt p2 /whole/
COPY --parents p/./q/r /pivot/
COPY --parents p*/./q/**/*.txt /wild/
COPY --parents --exclude=**/*.log --exclude=**/z.* p /less/`);
    const listing = (name: string): readonly string[] => {
      const found = execFileSync("find", [".", "-type", "f"], { cwd: join(out, name), encoding: "utf8" });
      return found.trim().split("\n").toSorted();
    };
    expect(listing("whole")).toEqual(["./p/q/r/x.txt", "./p2/q/w.txt"]);
    expect(listing("pivot")).toEqual(["./q/r/x.txt", "./q/r/y.log"]);
    expect(listing("wild")).toEqual(["./q/r/x.txt", "./q/w.txt", "./q/z.txt"]);
    expect(listing("less")).toEqual(["./p/q/r/x.txt"]);
  });

  test("--exclude leaves out what is below a directory, and not what the source names itself", async () => {
    work.context({ "e/a.txt": "a", "e/b.log": "b", "e/f/c.log": "c" });
    const out = await files(`COPY --exclude=*.log e /one/
COPY --exclude=**/*.log e /all/
COPY --exclude=b.log e/* /named/`);
    expect(readdirSync(join(out, "one"))).toEqual(["a.txt", "f"]);
    expect(readdirSync(join(out, "one", "f"))).toEqual(["c.log"]);
    expect(readdirSync(join(out, "all"))).toEqual(["a.txt", "f"]);
    expect(readdirSync(join(out, "all", "f"))).toEqual([]);
    expect(readdirSync(join(out, "named"))).toEqual(["a.txt", "b.log", "c.log"]);
  });

  test("--chown and --chmod take names, ids, octal and symbolic modes", async () => {
    work.context({ "m/x": "x", "m/d/y": "y" });
    const shown = await output(`COPY --chown=app:users --chmod=u=rwX,go=rX m /a
COPY --chown=55 --chmod=0640 m/x /b/x
COPY --chown=:users m/x /c
ARG OWNER=app MODE=700
COPY --chown=$OWNER --chmod=$MODE m/x /d
USER app
WORKDIR /made/by/app
USER 55
WORKDIR /made/by/number
USER root
RUN stat -c '%n %U:%G %a' /a/x /a/d /c /d /made/by/app > /o; stat -c '%n %u:%g %a' /b /b/x /made/by/number >> /o`);
    expect(shown.trim().split("\n")).toEqual([
      "/a/x app:users 644",
      "/a/d app:users 755",
      "/c root:users 644",
      "/d app:app 700",
      "/made/by/app app:app 755",
      "/b 55:55 640",
      "/b/x 55:55 640",
      "/made/by/number 55:55 755",
    ]);
  });

  test("takes files of here-documents, their variables replaced unless the name is quoted", async () => {
    const out = await files(`ENV V=value
COPY <<plain <<"quoted" <<-tabs /h/
$V "q" \\$V \${V:+set}
plain
$V \\$V
quoted
	tab $V
	tabs`);
    expect(readFileSync(join(out, "h", "plain"), "utf8")).toBe('value "q" $V set\n');
    expect(readFileSync(join(out, "h", "quoted"), "utf8")).toBe("$V \\$V\n");
    expect(readFileSync(join(out, "h", "tabs"), "utf8")).toBe("tab value\n");
  });

  test("follows links of the destination, and with --link replaces them", async () => {
    work.context({ "a.txt": "a" });
    const out = await files(`RUN mkdir /real && ln -s real /way
COPY a.txt /way/one
COPY --link a.txt /way/two`);
    expect(existsSync(join(out, "real", "one"))).toBe(true);
    expect(readdirSync(join(out, "way"))).toEqual(["two"]);
  });

  test("says which line of which ignore file leaves a source out, and what was probably meant", async () => {
    work.context({ "logs/a.log": "a", "src/main.c": "", ".dockerignore": "# no logs\n\n**/*.log\n" });
    const ignored = await failure("COPY logs/a.log \\\n  /x");
    expect(ignored).toContain('.dockerignore: line 3, "**/*.log"');
    expect(ignored).toContain(">>> 2 | COPY logs/a.log \\\n      |      ^^^^^^^^^^\n>>> 3 |   /x");
    expect(await failure("COPY src/mian.c /x")).toContain('Did you mean "src/main.c"?');
    expect(await failure("COPY scr/main.c /x")).toContain('Did you mean "src/main.c"?');
    const mounted = await failure("RUN --mount=source=scr,target=/m true");
    expect(mounted).toContain('Cannot mount "scr": not found in the build context');
    expect(mounted).toContain('Did you mean "src"?');
    const misspelt = await failure("FROM busybox AS build\nFROM busybox\nCOPY --from=biuld /x /y");
    expect(misspelt).toContain('Did you mean stage "build"?');
  });
});

describe("a stage", () => {
  test("runs the triggers of the stage that it is built from, once", async () => {
    const shown = await output(`ONBUILD RUN echo never >> /o
FROM busybox AS base
ONBUILD ARG A=1
ONBUILD RUN echo "trigger $A" >> /o
ONBUILD COPY <<EOF /from-trigger
text
EOF
FROM base AS middle
RUN cat /from-trigger >> /o
FROM middle
RUN echo end >> /o`);
    expect(shown).toBe("trigger 1\ntext\nend\n");
  });

  test("is for the platforms that were asked for, and builds on another where it says so", async () => {
    const Dockerfile = `FROM --platform=$BUILDPLATFORM busybox AS build
ARG TARGETPLATFORM TARGETOS TARGETARCH TARGETVARIANT
RUN echo "$TARGETPLATFORM $TARGETOS $TARGETARCH [$TARGETVARIANT]" > /p
FROM scratch
COPY --from=build /p /p
`;
    const dest = work.file("platforms");
    const platforms = "linux/amd64,linux/arm64,linux/arm/v7";
    const outcome = await work.build(["--platform", platforms, "-o", dest, work.context({ Dockerfile })]);
    expect(outcome.stderr).toContain("built image (linux/amd64, linux/arm64, linux/arm/v7)");
    const seen = readdirSync(dest).map((name) => readFileSync(join(dest, name, "p"), "utf8").trim());
    expect(seen.toSorted()).toEqual([
      "linux/amd64 linux amd64 []",
      "linux/arm/v7 linux arm [v7]",
      "linux/arm64 linux arm64 []",
    ]);
  });

  test("of a foreign platform can't RUN without an emulator, and says what to install", async () => {
    const Dockerfile = "FROM scratch\nCOPY Dockerfile /\nRUN true\n";
    const { stderr } = await work.fail(["--platform", "linux/mips64le", work.context({ Dockerfile })]);
    expect(stderr).toContain('Cannot run programs of platform "linux/mips64le"');
    expect(stderr).toContain("qemu-user-static");
  });
});

describe("an image", () => {
  const build = async (lines: string, options: string, ...args: readonly string[]): Promise<Archive> => {
    const file = work.file(`image${(count += 1)}.tar`);
    const Dockerfile = `FROM busybox\n${lines}\n`;
    await work.build(["-o", `type=oci,dest=${file}${options}`, ...args, work.context({ Dockerfile })]);
    return new Archive(file);
  };

  test("has the date of SOURCE_DATE_EPOCH, its files too with rewrite-timestamp", async () => {
    const epoch = ["--build-arg", "SOURCE_DATE_EPOCH=1000000000"];
    const image = await build("RUN echo x > /x\nLABEL a=b", ",rewrite-timestamp=true", ...epoch);
    const { created, history } = image.config();
    expect(created).toBe("2001-09-09T01:46:40Z");
    expect(history.at(-1)).toMatchObject({ created: "2001-09-09T01:46:40Z", empty_layer: true });
    const layer = image.blob(image.manifest().layers.at(-1)?.digest ?? "");
    const listing = execFileSync("tar", ["--utc", "--full-time", "-tzvf", "-"], { input: layer, encoding: "utf8" });
    const lines = listing.trim().split("\n");
    expect(lines.filter((line) => line.includes("2001-09-09 01:46:40"))).toEqual(lines);
  });

  test.each([
    ["gzip", ",compression=gzip,compression-level=1", "tar+gzip"],
    ["zstd", ",compression=zstd,force-compression=true", "tar+zstd"],
    ["nothing", ",compression=uncompressed,force-compression=true", "tar"],
  ])("has layers compressed by %s", async (_, options, suffix) => {
    const { layers } = (await build("RUN echo x > /x", options)).manifest();
    expect(layers.map(({ mediaType }) => mediaType.split(".").at(-1))).toEqual(layers.map(() => suffix));
  });

  test("has annotations where they were asked for", async () => {
    const dest = work.file("annotated");
    const types = ["manifest:m=1", "index:i=2", "manifest-descriptor:d=3", "index-descriptor:x=4"];
    await work.build([
      ...[...types, "manifest[linux/arm64]:a=5"].flatMap((each) => ["--annotation", each]),
      "--platform=linux/amd64,linux/arm64",
      `--output=type=oci,tar=false,dest=${dest}`,
      work.context({ Dockerfile: "FROM scratch\nCOPY Dockerfile /\n" }),
    ]);
    interface Annotated {
      readonly digest: string;
      readonly annotations?: Readonly<Record<string, string>>;
      readonly manifests: readonly Annotated[];
    }
    const read = (...path: readonly string[]): Annotated =>
      JSON.parse(readFileSync(join(dest, ...path), "utf8")) as Annotated;
    const blob = (digest: string): Annotated => read("blobs", ...digest.split(":"));
    const [named] = read("index.json").manifests;
    expect(named?.annotations).toMatchObject({ x: "4" });
    const index = blob(named?.digest ?? "");
    expect(index.annotations).toEqual({ i: "2" });
    expect(index.manifests.map(({ annotations }) => annotations)).toEqual([{ d: "3" }, { d: "3" }]);
    const manifests = index.manifests.map(({ digest }) => blob(digest));
    expect(manifests.map(({ annotations }) => annotations)).toEqual([{ m: "1" }, { m: "1", a: "5" }]);
  });
});
