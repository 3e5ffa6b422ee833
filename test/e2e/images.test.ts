/** Images in the hand: the store, layouts, archives and a registry. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningRegistry, startRegistry } from "../../tools/registry.ts";
import { Workspace } from "./varve.ts";

const DOCKERFILE = `FROM busybox
RUN mkdir /d && echo one > /d/one && echo two > /d/two && echo gone > /d/gone
RUN echo more >> /d/one && rm /d/gone && chmod 600 /d/two
COPY a.txt /d/
LABEL who="a b"
`;

describe("with an image in the store,", () => {
  const work = new Workspace();
  let registry: RunningRegistry;
  let id = "";

  const varve = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await work.run(args);
    if (code !== 0) throw new Error(`varve ${args.join(" ")} ended with ${code}:\n${stderr}`);
    return stdout;
  };

  beforeAll(async () => {
    registry = await startRegistry();
    const context = work.context({ Dockerfile: DOCKERFILE, "a.txt": "from a\n" });
    id = (await work.build(["-q", "-t", "app:1", context])).stdout.trim();
    await work.build(["-t", "app:2", work.context({ "a.txt": "other\n" })]);
  });

  afterAll(async () => {
    await registry?.stop();
    work[Symbol.dispose]();
  });

  test("varve images lists it as docker does, and varve tag and rmi change its names", async () => {
    await varve("tag", "app:1", "team/app");
    const table = await varve("images");
    expect(table.split("\n")[0]?.split(/ {3,}/)).toEqual([
      "REPOSITORY",
      "TAG",
      "IMAGE ID",
      "CREATED",
      "SIZE",
      "PLATFORM",
    ]);
    const short = id.slice("sha256:".length, "sha256:".length + 12);
    expect(await varve("images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}")).toEqual(
      expect.stringMatching(new RegExp(`^app:1 ${short}\napp:2 .*\nteam/app:latest ${short}\n$`)) as string,
    );
    expect(await varve("images", "-q", "--no-trunc", "team/app")).toBe(`${id}\n`);
    expect(JSON.parse(await varve("images", "--json", "app:1"))).toMatchObject({
      Repository: "app",
      Tag: "1",
      ID: short,
    });
    expect(await varve("rmi", "team/app:latest")).toBe("Untagged: team/app:latest\n");
    expect(await varve("images", "-q", "team/app")).toBe("");
  });

  test("it is found by its ID, by the beginning of one, and without any name", async () => {
    const context = work.context({ Dockerfile: "FROM busybox\nLABEL unnamed=1\n" });
    const unnamed = (await work.build(["-q", context])).stdout.trim();
    for (const text of [unnamed, unnamed.slice("sha256:".length, 19)])
      expect(await varve("inspect", "-f", "{{.Config.Labels.unnamed}} {{.RepoTags}}", text)).toBe("1 []\n");
    expect(await varve("images", "--format", "{{.Repository}}")).toBe("app\napp\n");
    expect(await varve("images", "-a", "--format", "{{.Repository}}")).toBe("<none>\napp\napp\n");
    expect(await varve("rmi", unnamed)).toBe(`Deleted: ${unnamed}\n`);
    expect((await work.run(["tag", unnamed, "x:1"])).stderr).toContain("error IMAGE_UNKNOWN");
  });

  test("varve layers counts entries and what newer layers hide", async () => {
    const layers = JSON.parse(await varve("layers", "--json", "app:1")) as readonly Record<string, unknown>[];
    expect(layers.map(({ entries, size, wasted }) => [entries, size, wasted]).slice(1)).toEqual([
      // d, one, two, gone: "one\n", "two\n", "gone\n" are all replaced or removed (two got other permissions).
      [4, 13, 13],
      // d, one, two, and a whiteout.
      [4, 13, 0],
      [2, 7, 0],
    ]);
    expect(await varve("layers", "--files", "3", "app:1")).toMatch(/^w.* \/d\/gone$/m);
    expect((await varve("layers", "app:1")).split("\n")).toHaveLength(7);
  });

  test("varve diff compares images and layers", async () => {
    expect(await varve("diff", "app:1#3")).toBe("D /d/gone\nC /d/one\nC /d/two (mode)\n");
    expect(await varve("diff", "app:1#1", "app:1#2")).toBe("A /d\nA /d/gone\nA /d/one\nA /d/two\n");
    expect(await varve("diff", "app:1", "app:1")).toBe("");
    expect(JSON.parse(await varve("diff", "--json", "app:1", "app:2"))).toEqual({
      added: [],
      modified: [{ path: "/d/a.txt", type: "file", size: 6, sizeBefore: 7, differs: ["content"] }],
      deleted: [],
    });
    expect((await work.run(["diff", "--exit-code", "app:1", "app:2"])).code).toBe(1);
  });

  test("it goes from any place to any other, and stays the same image", async () => {
    const chain = [
      "app:1",
      `oci:${work.file("layout")}:1`,
      `oci-archive:${work.file("oci.tar")}:1`,
      `docker-archive:${work.file("docker.tar")}:team/app:1`,
      `docker://${registry.host}/team/app:1`,
      "varve:copied:1",
    ];
    for (const [position, destination] of chain.entries()) {
      const source = chain[position - 1];
      if (source !== undefined) await varve("copy", "-q", source, destination);
      expect((await varve("inspect", "-f", "{{.Id}}", destination)).trim(), destination).toBe(id);
    }
    const images = execFileSync("skopeo", ["inspect", `oci-archive:${work.file("oci.tar")}`], { encoding: "utf8" });
    expect(JSON.parse(images)).toMatchObject({ Labels: { who: "a b" } });
    execFileSync("skopeo", ["copy", "-q", `docker-archive:${work.file("docker.tar")}`, `dir:${work.file("dir")}`]);
    expect(existsSync(`${work.file("dir")}/manifest.json`)).toBe(true);
  });

  test("varve push, rmi and pull bring it to its registry and back", async () => {
    const name = `${registry.host}/team/pushed:7`;
    await varve("tag", "app:1", name);
    expect(await varve("push", name)).toMatch(/^7: digest: sha256:[0-9a-f]{64} size: \d+\n$/);
    await varve("rmi", name);
    expect(await varve("pull", name)).toBe(`${name}\n`);
    const template = "{{range .RepoDigests}}{{println .}}{{end}}";
    const [digest = ""] = (await varve("inspect", "-f", template, name))
      .split("\n")
      .filter((each) => each.includes("pushed"));
    expect(digest).toMatch(new RegExp(`^${registry.host}/team/pushed@sha256:[0-9a-f]{64}$`));
    await varve("rmi", name);
    // Without a name in the store the registry is asked.
    expect(await varve("inspect", "-f", "{{.Id}} {{index .RepoDigests 0}}", name)).toBe(`${id} ${digest}\n`);
    expect(await varve("pull", digest)).toBe(`${digest}\n`);
    expect((await varve("inspect", "-f", "{{.Id}}", digest)).trim()).toBe(id);
  });

  test("several platforms stay together with --all, and one is chosen without", async () => {
    const context = work.context({
      Dockerfile: "FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCOPY a.txt /\n",
    });
    await work.build(["--platform", "linux/amd64,linux/arm64", "-t", "multi:1", context]);
    expect(await varve("images", "--format", "{{.Platform}}", "multi")).toBe("linux/amd64\nlinux/arm64\n");
    await varve("copy", "-q", "--all", "multi:1", `docker://${registry.host}/multi:all`);
    await varve("copy", "-q", "--platform", "linux/arm64", "multi:1", `docker://${registry.host}/multi:one`);
    const architectures = (tag: string): readonly unknown[] => {
      const text = execFileSync(
        "skopeo",
        ["inspect", "--raw", "--tls-verify=false", `docker://${registry.host}/multi:${tag}`],
        { encoding: "utf8" },
      );
      const { manifests = [] } = JSON.parse(text) as { manifests?: readonly { platform: { architecture: string } }[] };
      return manifests.map(({ platform }) => platform.architecture);
    };
    expect(architectures("all")).toEqual(["amd64", "arm64"]);
    expect(architectures("one")).toEqual([]);
    const arm = ["--platform", "linux/arm64", "-f", "{{.Architecture}} {{.Config.Labels.arch}}"];
    expect(await varve("inspect", ...arm, `docker://${registry.host}/multi:all`)).toBe("arm64 arm64\n");
    await varve("save", "--format", "oci", "-o", work.file("multi.tar"), "multi:1");
    await varve("rmi", "multi:1");
    expect(await varve("load", "-i", work.file("multi.tar"))).toBe("Loaded image: multi:1\n");
    expect(await varve("images", "--format", "{{.Platform}}", "multi")).toBe("linux/amd64\nlinux/arm64\n");
  });

  test("varve save writes several images into one archive, each layer once", async () => {
    const { stdout } = await work.run(["save", "--format", "docker-v1", "-o", work.file("v1.tar"), "app:1", "app:2"]);
    expect(stdout).toBe("");
    const names = execFileSync("tar", ["-tf", work.file("v1.tar")], { encoding: "utf8" })
      .trim()
      .split("\n");
    expect(names.filter((name) => name.endsWith("/layer.tar"))).toHaveLength(5);
    const [first] = names.filter((name) => name.endsWith("/json"));
    const json = JSON.parse(execFileSync("tar", ["-xOf", work.file("v1.tar"), first ?? ""], { encoding: "utf8" })) as {
      readonly id: string;
      readonly checksum: string;
    };
    expect(`${json.id}/json`).toBe(first);
    expect(json.checksum).toMatch(/^tarsum\.v1\+sha256:[0-9a-f]{64}$/);
    await varve("save", "-o", work.file("both.tar"), "app:1", "app:2");
    const store = work.file("other-store");
    const loaded = await work.run(["load"], {
      env: { VARVE_STORE: store },
      input: readFileSync(work.file("both.tar")),
    });
    expect(loaded.stdout).toBe("Loaded image: app:1\nLoaded image: app:2\n");
  });

  test("it is a base by every place that names it", async () => {
    await varve("save", "-o", work.file("base.tar"), "app:1", "app:2");
    await varve("copy", "-q", "app:1", `oci:${work.file("base-layout")}:1`);
    await varve("save", "--format", "oci", "-o", work.file("base-oci.tar"), "app:1");
    const context = work.context({ Dockerfile: "FROM base\nRUN cat /d/one > /seen\n" });
    for (const place of [
      "app:1",
      `docker-archive://${work.file("base.tar")}:app:1`,
      `docker-archive:${work.file("base.tar")}:app:2`,
      `oci-layout://${work.file("base-layout")}:1`,
      `oci:${work.file("base-layout")}:1`,
      `oci-archive:${work.file("base-oci.tar")}`,
      "varve:app:1",
    ]) {
      const named = place === "app:1" ? `docker-image://${place}` : place;
      await work.build(["--build-context", `base=${named}`, "-o", work.file("seen"), context]);
      expect(readFileSync(`${work.file("seen")}/seen`, "utf8"), place).toBe("one\nmore\n");
    }
    const { stderr } = await work.fail(["--build-context", `base=docker-archive://${work.file("base.tar")}`, context]);
    expect(stderr).toMatch(/error IMAGE_UNKNOWN.*"latest".*app:1, app:2/);
  });

  test.each([
    ["an argument is missing", ["inspect"], 2, /error USAGE: Cannot run inspect: IMAGE was not given/],
    ["an argument is missing", ["tag", "app:1"], 2, /error USAGE: .*TARGET was not given/],
    ["an argument is one too many", ["history", "a", "b"], 2, /error USAGE: .*"b" is one word too many/],
    ["a name is malformed", ["tag", "app:1", "Not A Name"], 2, /error USAGE: .*invalid reference format/],
    ["a digest is to be a name", ["copy", "app:1", `x@sha256:${"0".repeat(64)}`], 2, /error USAGE/],
    ["an output has an unknown format", ["save", "--format", "zip", "app:1"], 2, /wanted docker, docker-v1, oci/],
    ["a template is not closed", ["inspect", "-f", "{{.Id", "app:1"], 2, /error USAGE: Cannot use template/],
    [
      "a template has an unknown field",
      ["inspect", "-f", "{{.ID}}", "app:1"],
      2,
      /no field "ID"[^]*Did you mean \.Id\?/,
    ],
    ["a layer is not there", ["diff", "app:1#9"], 2, /the image has 4 layers/],
    ["an image is missing", ["inspect", "varve:nothing:1"], 1, /error IMAGE_UNKNOWN: Cannot find image "nothing:1"/],
    ["an image is missing", ["tag", "nothing:1", "x:1"], 1, /error IMAGE_UNKNOWN/],
    ["an image is missing", ["rmi", "nothing:1"], 1, /error IMAGE_UNKNOWN/],
    ["an image is missing", ["push", "nothing:1"], 1, /error IMAGE_UNKNOWN/],
    ["a file is missing", ["load", "-i", "missing.tar"], 1, /error LAYOUT_INVALID: .*there is no such file/],
    ["a layout is missing", ["history", "oci:missing"], 1, /error LAYOUT_INVALID/],
    ["a file is taken for a name", ["history", "FILE"], 1, /hint: A file is named oci-archive:/],
  ] as const)("there is a clear error where %s: varve %j", async (_, args, code, expected) => {
    writeFileSync(work.file("FILE"), "");
    const words = args.map((word) => (word === "FILE" ? work.file("FILE") : word));
    const outcome = await work.run(words);
    expect(outcome.stderr).toMatch(expected);
    expect(outcome.stderr).not.toContain("mistake in varve");
    expect(outcome.code).toBe(code);
  });

  test.each([
    ["cut short", (bytes: Buffer) => bytes.subarray(0, bytes.length / 2)],
    ["no tar", () => Buffer.from("hello")],
    ["empty", () => Buffer.alloc(0)],
    ["altered", (bytes: Buffer) => alter(bytes)],
  ])("there is a clear error for an archive that is %s", async (name, damage) => {
    for (const format of ["docker", "docker-v1", "oci"]) {
      const file = work.file(`damaged-${format}.tar`);
      await varve("save", "--format", format, "-o", file, "app:1");
      writeFileSync(file, damage(readFileSync(file)));
      const store = work.file(`damaged-store-${name}-${format}`);
      const outcome = await work.run(["load", "-i", file], { env: { VARVE_STORE: store } });
      expect(outcome.code, format).toBe(1);
      expect(outcome.stderr, format).toMatch(/error (?:LAYOUT_INVALID|ARCHIVE_CORRUPT|DIGEST_MISMATCH|BLOB_UNKNOWN)/);
      expect((await work.run(["images", "-aq"], { env: { VARVE_STORE: store } })).stdout).toBe("");
    }
  });
});

/** Flips a byte in the middle, which is a layer's. */
function alter(bytes: Buffer): Buffer {
  const altered = Buffer.from(bytes);
  const at = Math.floor(bytes.length / 2);
  altered[at] = (altered[at] ?? 0) ^ 0xff;
  return altered;
}
