/** What other tools make of varve's images. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningDocker, startDocker } from "../../tools/dockerd.ts";
import { Workspace } from "./varve.ts";

const DOCKERFILE = `FROM busybox
LABEL who="a b"
ENV GREETING=hello
RUN mkdir -p /srv/x && echo one > /srv/x/one && ln /srv/x/one /srv/x/two && chown app:app /srv/x/one && rm /bin/zcat
COPY --chown=app --chmod=640 a.txt /srv/
USER app
WORKDIR /srv
EXPOSE 80/tcp
CMD ["sh", "-c", "echo $GREETING; id -u; cat a.txt"]
`;

describe("an image of varve", () => {
  const work = new Workspace();
  let context = "";
  let docker: RunningDocker | undefined;

  beforeAll(async () => {
    context = work.context({ Dockerfile: DOCKERFILE, "a.txt": "from a\n" });
    await work.build([
      "-t",
      "tools/app:1",
      "-o",
      `type=oci,dest=${work.file("app.tar")}`,
      "-o",
      `type=oci,tar=false,dest=${work.file("layout")}`,
      "-o",
      `type=docker,dest=${work.file("docker.tar")}`,
      "-o",
      "type=image",
      context,
    ]);
    docker = await startDocker();
  });

  afterAll(async () => {
    await docker?.stop();
    work[Symbol.dispose]();
  });

  test("is read by skopeo from an archive, a layout, a docker archive and the store", () => {
    const inspect = (place: string): { readonly Labels: Record<string, string>; readonly Layers: readonly string[] } =>
      JSON.parse(execFileSync("skopeo", ["inspect", place], { encoding: "utf8" })) as never;
    const places = [
      `oci-archive:${work.file("app.tar")}`,
      `oci:${work.file("layout")}:1`,
      `oci:${work.store}:docker.io/tools/app:1`,
    ];
    for (const place of places) {
      expect(inspect(place).Labels, place).toEqual({ who: "a b" });
      expect(inspect(place).Layers, place).toHaveLength(4);
    }
    execFileSync("skopeo", ["copy", "-q", `docker-archive:${work.file("docker.tar")}`, `dir:${work.file("dir")}`]);
    expect(existsSync(join(work.file("dir"), "manifest.json"))).toBe(true);
  });

  test("is unpacked by umoci with owners, hard links and removals", () => {
    execFileSync("umoci", ["unpack", "--image", `${work.file("layout")}:1`, work.file("bundle")]);
    const rootfs = join(work.file("bundle"), "rootfs");
    expect(readFileSync(join(rootfs, "srv/a.txt"), "utf8")).toBe("from a\n");
    const [one, two, a] = ["srv/x/one", "srv/x/two", "srv/a.txt"].map((path) => lstatSync(join(rootfs, path)));
    expect(one?.ino).toBe(two?.ino);
    expect([a?.uid, a?.gid, (a?.mode ?? 0) & 0o777, one?.uid]).toEqual([1000, 1000, 0o640, 1000]);
    expect(existsSync(join(rootfs, "bin/zcat"))).toBe(false);
  });

  test("runs under runc", () => {
    const bundle = work.file("bundle");
    if (!existsSync(bundle)) execFileSync("umoci", ["unpack", "--image", `${work.file("layout")}:1`, bundle]);
    const config = JSON.parse(readFileSync(join(bundle, "config.json"), "utf8")) as {
      process: { terminal: boolean };
      linux: { namespaces: { type: string }[]; cgroupsPath?: string };
    };
    config.process.terminal = false;
    writeFileSync(join(bundle, "config.json"), JSON.stringify(config));
    const run = spawnSync(
      "runc",
      ["--root", work.file("runc"), "run", "--bundle", bundle, `varve-e2e-${process.pid}`],
      { encoding: "utf8" },
    );
    expect(run.stdout).toBe("hello\n1000\nfrom a\n");
  });

  test("is pulled by buildah", () => {
    const root = ["--root", work.file("buildah"), "--runroot", work.file("buildah-run"), "--storage-driver", "vfs"];
    const name = execFileSync("buildah", [...root, "from", `oci-archive:${work.file("app.tar")}`], {
      encoding: "utf8",
    }).trim();
    const config = execFileSync(
      "buildah",
      [...root, "inspect", "--format", "{{.OCIv1.Config.User}} {{.OCIv1.Config.WorkingDir}}", name],
      { encoding: "utf8" },
    );
    expect(config.trim()).toBe("app /srv");
    execFileSync("buildah", [...root, "rm", name]);
  });

  test("is loaded by Docker, which tells the same config and history", async () => {
    if (docker === undefined) throw new Error("Docker did not start");
    docker.docker("load", "-q", "-i", work.file("docker.tar"));
    const [image] = JSON.parse(docker.docker("image", "inspect", "tools/app:1")) as readonly {
      readonly Id: string;
      readonly Config: Record<string, unknown>;
      readonly RootFS: { readonly Layers: readonly string[] };
    }[];
    expect(image?.Config).toMatchObject({
      User: "app",
      WorkingDir: "/srv",
      Labels: { who: "a b" },
      ExposedPorts: { "80/tcp": {} },
    });
    expect(image?.RootFS.Layers).toHaveLength(4);
    const history = docker.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", "tools/app:1");
    expect(history.trim().split("\n").slice(0, 4)).toEqual([
      'CMD ["sh" "-c" "echo $GREETING; id -u; cat a.txt"]',
      "EXPOSE [80/tcp]",
      "WORKDIR /srv",
      "USER app",
    ]);
    const { stdout } = await work.build(["-q", "--load", "-t", "tools/loaded:1", context], {
      env: { DOCKER_HOST: docker.host },
    });
    expect(docker.docker("image", "inspect", "--format", "{{.Id}}", "tools/loaded:1").trim()).toBe(stdout.trim());
  });

  test("is a base again from its docker archive", async () => {
    mkdirSync(work.file("again"));
    writeFileSync(join(work.file("again"), "Dockerfile"), "FROM app\nUSER root\nRUN cat /srv/a.txt > /again\n");
    const base = `app=docker-archive://${work.file("docker.tar")}`;
    await work.build(["--build-context", base, "-o", work.file("again-files"), work.file("again")]);
    expect(readFileSync(join(work.file("again-files"), "again"), "utf8")).toBe("from a\n");
  });

  test("keeps what a COPY --from takes of setuid files and xattrs", async () => {
    const dockerfile =
      "FROM busybox AS a\nRUN cp /bin/busybox /su && chmod 4755 /su\nFROM scratch\nCOPY --from=a /su /su\n";
    mkdirSync(work.file("setuid"));
    writeFileSync(join(work.file("setuid"), "Dockerfile"), dockerfile);
    await work.build(["-o", work.file("setuid-files"), work.file("setuid")]);
    expect(lstatSync(join(work.file("setuid-files"), "su")).mode & 0o7777).toBe(0o4755);
  });
});
