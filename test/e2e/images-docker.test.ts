/** Images that go between varve and a real Docker daemon. */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningDocker, startDocker } from "../../tools/dockerd.ts";
import { Workspace } from "./varve.ts";

const DOCKERFILE = `FROM busybox
LABEL who="a b" z=1
ENV GREETING=hello
RUN mkdir -p /srv/x && echo one > /srv/x/one && ln /srv/x/one /srv/x/two && rm /bin/zcat
COPY --chown=app --chmod=640 a.txt /srv/
USER app
WORKDIR /srv
EXPOSE 80/tcp 53/udp
VOLUME /data
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s CMD true
SHELL ["/bin/sh","-c"]
ONBUILD RUN true
ENTRYPOINT ["sh"]
CMD ["-c", "echo <$GREETING> && id -u; cat a.txt"]
`;

type Json = Readonly<Record<string, unknown>>;

describe("varve and Docker, for the same image,", () => {
  const work = new Workspace();
  let docker: RunningDocker;
  let id = "";

  /** `varve ARGS`, which must succeed: its standard output. */
  const varve = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await work.run(args, { env: { DOCKER_HOST: docker.host } });
    if (code !== 0) throw new Error(`varve ${args.join(" ")} ended with ${code}:\n${stderr}`);
    return stdout;
  };

  const removeFromDocker = (): void => {
    const names = docker.docker("images", "--format", "{{.Repository}}:{{.Tag}}").trim();
    if (names !== "") docker.docker("rmi", "-f", ...names.split("\n"));
  };

  beforeAll(async () => {
    docker = await startDocker();
    const context = work.context({ Dockerfile: DOCKERFILE, "a.txt": "from a\n" });
    await work.build(["-t", "tools/app:1", "-t", "tools/app:2", context]);
    id = (await varve("inspect", "-f", "{{.Id}}", "tools/app:1")).trim();
  });

  afterAll(async () => {
    await docker?.stop();
    work[Symbol.dispose]();
  });

  test.each(["docker", "docker-v1"])("have the same ID and names, saved as %s and loaded by docker", async (format) => {
    removeFromDocker();
    const file = work.file(`${format}.tar`);
    await varve("save", "--format", format, "-o", file, "tools/app:1", "tools/app:2");
    const loaded = docker.docker("load", "-i", file);
    expect(loaded.trim().split("\n").toSorted()).toEqual(["Loaded image: tools/app:1", "Loaded image: tools/app:2"]);
    expect(docker.docker("image", "inspect", "-f", "{{.Id}}", "tools/app:2").trim()).toBe(id);
  });

  test("show the same history", async () => {
    const lines = (text: string): readonly Json[] =>
      text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Json)
        .map(({ CreatedSince: _, ...rest }) => rest);
    for (const flags of [[], ["--no-trunc"], ["-H=false"]]) {
      const args = ["history", ...flags, "--format", "json", "tools/app:1"];
      expect(lines(await varve(...args))).toEqual(lines(docker.docker(...args)));
    }
    const cells = (text: string): readonly (readonly string[])[] =>
      text
        .trim()
        .split("\n")
        .map((line) => line.trimEnd().split(/ {3,}/));
    const args = ["history", "-H=false", "--no-trunc", "tools/app:1"];
    expect(cells(await varve(...args))).toEqual(cells(docker.docker(...args)));
    expect(await varve("history", "-q", "tools/app:1")).toBe(docker.docker("history", "-q", "tools/app:1"));
    expect((await varve("history", "tools/app:1")).split("\n")[0]?.split(/ {3,}/)).toEqual(
      docker.docker("history", "tools/app:1").split("\n")[0]?.trimEnd().split(/ {3,}/),
    );
  });

  test("show the same image, member by member", async () => {
    // How Docker keeps it, and when it was tagged there, are Docker's own.
    const shown = (text: string): readonly string[] => {
      const [image] = JSON.parse(text) as readonly Json[];
      const { GraphDriver: _, Metadata: __, ...rest } = image ?? {};
      return JSON.stringify(rest, undefined, 1).split("\n");
    };
    const [ours, dockers] = [await varve("inspect", "tools/app:1"), docker.docker("image", "inspect", "tools/app:1")];
    expect(shown(ours)).toEqual(shown(dockers));
    const names = (text: string): readonly string[] => Object.keys((JSON.parse(text) as readonly Json[])[0] ?? {});
    expect(names(ours)).toEqual(names(dockers));
    for (const template of [
      "{{.Id}}",
      "{{.Config.WorkingDir}} {{.Config.Env}} {{json .RootFS.Layers}} {{len .Config.Cmd}}",
      "{{index .RepoTags 0}}",
      "{{range .RootFS.Layers}}{{.}} {{end}}",
    ])
      expect(await varve("inspect", "-f", template, "tools/app:1")).toBe(
        docker.docker("image", "inspect", "-f", template, "tools/app:1"),
      );
  });

  test("have the same ID, saved by docker and loaded by varve", async () => {
    const file = work.file("by-docker.tar");
    docker.docker("save", "-o", file, "tools/app:1", "tools/app:2");
    execFileSync("gzip", ["-kf", file]);
    for (const [position, archive] of [file, `${file}.gz`].entries()) {
      const store = work.file(`loaded-${position}`);
      const { stdout } = await work.run(["load", "-i", archive], { env: { VARVE_STORE: store } });
      expect(stdout).toBe("Loaded image: tools/app:1\nLoaded image: tools/app:2\n");
      const images = await work.run(["images", "-q", "--no-trunc"], { env: { VARVE_STORE: store } });
      expect(images.stdout).toBe(`${id}\n`);
    }
  });

  test("have the same ID where the archive has only VERSION, json, layer.tar and repositories", async () => {
    const directory = work.file("v1");
    mkdirSync(directory);
    for (const source of ["by-docker.tar", "docker-v1.tar"]) {
      execFileSync("tar", ["-xf", work.file(source), "-C", directory]);
      execFileSync("sh", ["-c", `rm -f *.json; tar -cf ../v1-${source} *; rm -rf *`], { cwd: directory });
      const file = join(work.path, `v1-${source}`);
      removeFromDocker();
      docker.docker("load", "-i", file);
      const store = work.file(`v1-store-${source}`);
      const { stdout } = await work.run(["load", "-i", file], { env: { VARVE_STORE: store } });
      expect(stdout).toContain("Loaded image: tools/app:1\n");
      const ours = await work.run(["inspect", "-f", "{{.Id}}", "tools/app:1"], { env: { VARVE_STORE: store } });
      expect(ours.stdout).toBe(docker.docker("image", "inspect", "-f", "{{.Id}}", "tools/app:1"));
    }
  });

  test("pass images directly: docker-daemon:", async () => {
    removeFromDocker();
    await varve("copy", "tools/app:1", "docker-daemon:tools/direct:3");
    expect(docker.docker("image", "inspect", "-f", "{{.Id}}", "tools/direct:3").trim()).toBe(id);
    await varve("copy", "docker-daemon:tools/direct:3", "back:1");
    expect((await varve("inspect", "-f", "{{.Id}}", "back:1")).trim()).toBe(id);
    expect((await varve("inspect", "-f", "{{.RepoTags}}", "docker-daemon:tools/direct:3")).trim()).toBe(
      "[tools/direct:3]",
    );
    const missing = await work.run(["inspect", "docker-daemon:none:1"], { env: { DOCKER_HOST: docker.host } });
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain("error IMAGE_UNKNOWN");
  });
});
