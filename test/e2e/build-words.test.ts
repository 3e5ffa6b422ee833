/** varve build as people call docker build: contexts from standard input, files about the image, flags of other tools. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { busyboxArgs, Workspace } from "./varve.ts";

const DOCKERFILE = "FROM busybox\nCOPY . /in\n";

describe("varve build -", () => {
  const work = new Workspace();
  let context = "";

  beforeAll(() => {
    context = work.context({
      Dockerfile: DOCKERFILE,
      other: "FROM busybox\nCOPY a.txt /other\n",
      "a.txt": "a\n",
      "sub/b.txt": "b\n",
    });
    execFileSync("ln", ["-s", "a.txt", join(context, "link")]);
  });

  afterAll(() => work[Symbol.dispose]());

  const pack = (...flags: readonly string[]): Buffer => execFileSync("tar", ["-C", context, "-cf", "-", ...flags, "."]);

  test.each([
    ["a tar", []],
    ["a tar compressed by gzip", ["-z"]],
    ["a tar compressed by zstd", ["--zstd"]],
    ["a tar compressed by xz", ["-J"]],
    ["a tar compressed by bzip2", ["-j"]],
  ])("takes %s on standard input as the context", async (_, flags) => {
    const target = work.file(`files${flags.join("")}`);
    await work.build(["-o", target, "-"], { input: pack(...flags) });
    expect(readFileSync(join(target, "in/sub/b.txt"), "utf8")).toBe("b\n");
    expect(readFileSync(join(target, "in/link"), "utf8")).toBe("a\n");
  });

  test("takes another Dockerfile of the tar with -f", async () => {
    await work.build(["-f", "other", "-o", work.file("other-files"), "-"], { input: pack() });
    expect(readFileSync(join(work.file("other-files"), "other"), "utf8")).toBe("a\n");
  });

  test("takes a Dockerfile on standard input: without a context, or for a directory with -f -", async () => {
    await work.build(["-o", work.file("alone"), "-"], { input: "FROM busybox\nRUN echo alone > /made\n" });
    expect(readFileSync(join(work.file("alone"), "made"), "utf8")).toBe("alone\n");
    await work.build(["-f", "-", "-o", work.file("piped"), context], { input: "FROM busybox\nCOPY a.txt /piped\n" });
    expect(readFileSync(join(work.file("piped"), "piped"), "utf8")).toBe("a\n");
  });

  test.each([
    ["a COPY without a context", "FROM busybox\nCOPY a /\n", ["-"], /the build has no context/],
    ["both from one place", "FROM busybox\n", ["-f", "-", "-"], /can't both be standard input/],
    [
      "a compressed file that is no tar",
      Buffer.from("H4sIAAAAAAAAA8tIzcnJ5wIAIDA6NgYAAAA=", "base64"),
      ["-"],
      /neither a tar nor a Dockerfile/,
    ],
    [
      "a tar without a Dockerfile",
      execFileSync("tar", ["-cf", "-", "-C", "/etc", "hostname"]),
      ["-"],
      /error DOCKERFILE_MISSING/,
    ],
  ])("tells what is wrong with %s", async (_, input, args, message) => {
    const { stderr } = await work.fail(args, { input });
    expect(stderr).toMatch(message);
  });
});

describe("varve build", () => {
  const work = new Workspace();
  afterAll(() => work[Symbol.dispose]());
  const simple = (): string => work.context({ Dockerfile: "FROM busybox\nLABEL a=1\n" });

  test("writes the image's ID and what buildx says of it to files", async () => {
    const [iid, meta] = [work.file("iid"), work.file("meta.json")];
    const args = ["--iidfile", iid, "--metadata-file", meta, "-t", "app:1", "-t", "team/app:2"];
    const { stdout } = await work.build([...args, simple()]);
    expect(`${readFileSync(iid, "utf8")}\n`).toBe(stdout);
    const { stdout: inspected } = await work.run(["inspect", "--raw", "app:1"]);
    const metadata = JSON.parse(readFileSync(meta, "utf8")) as Record<string, unknown>;
    expect(metadata).toEqual({
      "containerimage.config.digest": stdout.trim(),
      "containerimage.descriptor": {
        mediaType: "application/vnd.oci.image.manifest.v1+json",
        digest: metadata["containerimage.digest"],
        size: Buffer.byteLength(inspected),
      },
      "containerimage.digest": expect.stringMatching(/^sha256:[0-9a-f]{64}$/) as string,
      "image.name": "docker.io/library/app:1,docker.io/team/app:2",
    });
    await work.fail(["--iidfile", iid, work.context({ Dockerfile: "FROM busybox\nRUN false\n" })]);
    expect(existsSync(iid)).toBe(false);
  });

  test("gives several platforms one ID, that of their index", async () => {
    const context = work.context({ Dockerfile: "FROM scratch\nCOPY a /\n", a: "" });
    const meta = work.file("multi.json");
    const { stdout } = await work.build(["--platform", "linux/amd64,linux/arm64", "--metadata-file", meta, context]);
    const metadata = JSON.parse(readFileSync(meta, "utf8")) as Record<string, unknown>;
    expect(metadata["containerimage.digest"]).toBe(stdout.trim());
    expect(metadata["containerimage.config.digest"]).toBeUndefined();
  });

  test("annotates manifests, indexes and the descriptors in them", async () => {
    const context = work.context({ Dockerfile: "FROM scratch\nCOPY a /\n", a: "" });
    const layout = work.file("annotated");
    await work.build([
      "--platform",
      "linux/amd64,linux/arm64",
      "--annotation",
      "plain=1",
      "--annotation",
      "index:top=2",
      "--annotation",
      "manifest-descriptor:each=3",
      "--annotation",
      "manifest,index:both=4",
      "-o",
      `type=oci,tar=false,dest=${layout},annotation.from-output=5`,
      context,
    ]);
    const read = (digest: string): { annotations?: unknown; manifests?: { digest: string; annotations?: unknown }[] } =>
      JSON.parse(readFileSync(join(layout, "blobs", digest.replace(":", "/")), "utf8")) as never;
    const top = JSON.parse(readFileSync(join(layout, "index.json"), "utf8")) as { manifests: { digest: string }[] };
    const index = read(top.manifests[0]?.digest ?? "");
    expect(index.annotations).toEqual({ top: "2", both: "4" });
    expect(index.manifests).toHaveLength(2);
    for (const { digest, annotations } of index.manifests ?? []) {
      expect(annotations).toEqual({ each: "3" });
      expect(read(digest).annotations).toEqual({ plain: "1", both: "4", "from-output": "5" });
    }
  });

  test("warns of flags that it does without, and is silent about those that change nothing", async () => {
    const { stderr } = await work.build([
      "--progress=plain",
      "--memory",
      "1g",
      "--cpu-quota=5",
      "--builder",
      "x",
      "--rm",
      "--force-rm",
      "--compress",
      "--provenance=false",
      "--sbom=false",
      "--attest",
      "type=sbom,disabled=true",
      simple(),
    ]);
    const warnings = stderr.split("\n").filter((line) => /warning/i.test(line));
    expect(warnings).toEqual([expect.stringContaining("--cpu-quota"), expect.stringContaining("--memory")]);
  });

  test.each([
    ["--provenance=true", /Cannot use --provenance: varve writes no attestations[^]*set it to false/],
    ["--sbom=true", /Cannot use --sbom/],
    ["--squash", /Cannot use --squash/],
    ["--annotation=index-config:a=b", /type "index-config" is not known/],
    ["--build-context=x=nowhere", /"nowhere" is no directory/],
    ["--build-context=x=oci:", /it names nothing/],
  ])("refuses %s", async (flag, message) => {
    const { code, stderr } = await work.run(["build", ...(await busyboxArgs()), flag, simple()]);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });

  test("takes a context of another name from a docker archive with several images", async () => {
    mkdirSync(work.file("bases"), { recursive: true });
    for (const number of [1, 2])
      await work.build([
        "-t",
        `base:${number}`,
        work.context({ Dockerfile: `FROM busybox\nRUN echo ${number} > /number\n` }),
      ]);
    const archive = work.file("bases/both.tar");
    expect((await work.run(["save", "-o", archive, "base:1", "base:2"])).code).toBe(0);
    writeFileSync(join(work.context({}), "Dockerfile"), "FROM one\nCOPY --from=two /number /other\n");
    const args = [
      "--build-context",
      `one=docker-archive://${archive}:base:1`,
      "--build-context",
      `two=docker-archive://${archive}:base:2`,
    ];
    await work.build([...args, "-o", work.file("combined"), work.context({})]);
    expect(["number", "other"].map((name) => readFileSync(join(work.file("combined"), name), "utf8"))).toEqual([
      "1\n",
      "2\n",
    ]);
  });
});
