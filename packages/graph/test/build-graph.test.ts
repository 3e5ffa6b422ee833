import { parseDockerfile } from "@varve/dockerfile";
import {
  createMemoryStore,
  encodeImageConfig,
  encodeManifest,
  type Image,
  type ImageConfig,
  MEDIA_TYPES,
  parsePlatform,
  type Platform,
  resolveImage,
} from "@varve/oci";
import { inChunks } from "@varve/oci/testing";
import { describe, expect, test } from "vitest";
import { type BuildGraph, buildGraph, type GraphOptions, type RunStep, stepDefinition } from "../src/index.ts";

const linux = parsePlatform("linux/amd64");
const BASE: ImageConfig = {
  os: "linux",
  architecture: "amd64",
  created: "2020-01-01T00:00:00Z",
  config: { Env: ["PATH=/bin", "BASE=1"], Cmd: ["sh"], WorkingDir: "/base", OnBuild: [] },
  rootfs: { type: "layers", diff_ids: [] },
  history: [{ created_by: "base", empty_layer: true }],
};

async function imageOf(base: ImageConfig, platform: Platform): Promise<Image> {
  const store = createMemoryStore();
  const config = encodeImageConfig(base);
  const manifest = encodeManifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.manifest,
    config: config.descriptor,
    layers: [],
  });
  for (const { descriptor, bytes } of [config, manifest]) await store.push(descriptor, inChunks(bytes));
  return resolveImage(store, manifest.descriptor, { platform });
}

async function plan(
  text: string,
  options: Partial<GraphOptions> & { readonly base?: ImageConfig } = {},
): Promise<BuildGraph & { readonly asked: readonly string[]; readonly warnings: readonly string[] }> {
  const asked: string[] = [];
  const warnings: string[] = [];
  const { dockerfile } = parseDockerfile(text, { file: "Dockerfile" });
  const graph = await buildGraph(dockerfile, {
    platform: linux,
    platformIsImplied: false,
    buildPlatform: linux,
    buildArgs: new Map(),
    labels: {},
    namedContexts: new Map(),
    noCache: false,
    runDefaults: { network: "default", hostname: undefined, extraHosts: [], ulimits: [], shmSize: undefined },
    resolveImage: async (reference, platform) => {
      asked.push(reference);
      return imageOf({ ...(options.base ?? BASE), ...platform }, platform);
    },
    onWarning: (message) => warnings.push(message),
    onCheck: ({ message }) => warnings.push(message),
    ...options,
  });
  return { ...graph, asked, warnings };
}

function runs(graph: BuildGraph): readonly RunStep[] {
  return graph.steps.filter((step) => step.kind === "run");
}

describe("buildGraph()", () => {
  test("leaves out what the target does not need, and asks for no image of it", async () => {
    const graph = await plan(
      "FROM one AS a\nRUN a\nFROM two AS b\nRUN b\nFROM three AS c\nRUN c\nFROM a\nCOPY --from=c /x /y\n",
    );
    expect(graph.asked.toSorted()).toEqual(["one", "three"]);
    expect(runs(graph).map(({ args }) => args.at(-1))).toEqual(["a", "c"]);
    expect((await plan("FROM one AS a\nFROM two AS B\nFROM three\n", { target: "b" })).asked).toEqual(["two"]);
  });

  test("lists inputs before what reads them, each step once", async () => {
    const graph = await plan(
      "FROM x AS a\nRUN 1\nFROM a AS b\nRUN 2\nFROM a\nCOPY --from=b / /b\nRUN --mount=from=a,target=/m 3\n",
    );
    const position = new Map(graph.steps.map((step, index) => [step, index]));
    for (const step of graph.steps)
      if (step.kind !== "from") expect(position.get(step.parent)).toBeLessThan(position.get(step) ?? -1);
    expect(new Set(graph.steps).size).toBe(graph.steps.length);
    expect(graph.steps).toHaveLength(5);
  });

  test.each([
    [
      "an ARG counts from where it is declared",
      "FROM x\nRUN 1\nARG A=1\nRUN 2\n",
      {},
      [
        ["PATH=/bin", "BASE=1"],
        ["PATH=/bin", "BASE=1", "A=1"],
      ],
    ],
    ["a build arg wins over a default", "FROM x\nARG A=1\nRUN 1\n", { A: "9" }, [["PATH=/bin", "BASE=1", "A=9"]]],
    [
      "a global ARG is seen where it is declared again",
      "ARG G=g\nFROM x\nARG G\nARG H\nRUN 1\n",
      {},
      [["PATH=/bin", "BASE=1", "G=g"]],
    ],
    [
      "ENV stays where it stands, with its new value",
      "FROM x\nENV BASE=2 N=$BASE\nRUN 1\n",
      {},
      [["PATH=/bin", "BASE=2", "N=1"]],
    ],
    [
      "platform args are given when declared",
      "FROM x\nARG TARGETARCH\nRUN 1\n",
      {},
      [["PATH=/bin", "BASE=1", "TARGETARCH=amd64"]],
    ],
  ])("env of RUN: %s", async (_, text, args, wanted) => {
    const graph = await plan(text, { buildArgs: new Map(Object.entries(args)) });
    expect(runs(graph).map(({ env }) => env)).toEqual(wanted);
  });

  test("lets RUN see SOURCE_DATE_EPOCH where it is declared, as reproducible builds need it", async () => {
    const buildArgs = new Map([["SOURCE_DATE_EPOCH", "12"]]);
    const graph = await plan("FROM x\nRUN 1\nARG SOURCE_DATE_EPOCH\nRUN 2\n", { buildArgs });
    expect(runs(graph).map(({ env }) => env.includes("SOURCE_DATE_EPOCH=12"))).toEqual([false, true]);
  });

  test("keeps proxies out of env, definition and history", async () => {
    const graph = await plan("FROM x\nRUN 1\n", { buildArgs: new Map([["HTTP_PROXY", "http://secret"]]) });
    const [run] = runs(graph);
    expect(run?.proxyEnv).toEqual(["HTTP_PROXY=http://secret", "http_proxy=http://secret"]);
    expect(
      JSON.stringify([run === undefined ? "" : stepDefinition(run), graph.target.history, run?.env]),
    ).not.toContain("secret");
  });

  test("runs ONBUILD triggers of the base first, and takes them out of the config", async () => {
    const base = { ...BASE, config: { ...BASE.config, OnBuild: ["ENV T=1", "RUN echo trigger"] } };
    const graph = await plan("FROM x\nRUN own\nONBUILD RUN later\n", { base });
    expect(runs(graph).map(({ args }) => args.at(-1))).toEqual(["echo trigger", "own"]);
    expect(graph.target.config.OnBuild).toEqual(["RUN later"]);
    expect(graph.target.config.Env).toContain("T=1");
  });

  test("writes config and history as BuildKit does", async () => {
    const graph = await plan(
      'FROM x\nLABEL a=1\nEXPOSE 81 80/udp 1-2\nVOLUME ["/v"]\nSTOPSIGNAL 9\nSHELL ["/s", "-x"]\nHEALTHCHECK --interval=90s CMD true\nENTRYPOINT e\nUSER u\nMAINTAINER m\n',
      { labels: { b: "2" } },
    );
    expect(graph.target.config).toMatchObject({
      Labels: { a: "1", b: "2" },
      ExposedPorts: { "81/tcp": {}, "80/udp": {}, "1/tcp": {}, "2/tcp": {} },
      Entrypoint: ["/s", "-x", "e"],
      Healthcheck: { Test: ["CMD-SHELL", "true"], Interval: 90e9 },
    });
    expect(graph.target.config.Cmd).toBeUndefined();
    expect(graph.target.history.slice(1).map((line) => line.created_by)).toEqual([
      "LABEL a=1",
      "EXPOSE [1/tcp 2/tcp 80/udp 81/tcp]",
      "VOLUME [/v]",
      "STOPSIGNAL 9",
      "SHELL [/s -x]",
      "HEALTHCHECK {Test:[CMD-SHELL true] Interval:1m30s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}",
      'ENTRYPOINT ["/s" "-x" "e"]',
      "USER u",
      "MAINTAINER m",
    ]);
  });

  test("lets named contexts stand for images and stages", async () => {
    const namedContexts = new Map([
      ["alpine", { type: "image", reference: "oci-layout:///l" } as const],
      ["lib", { type: "context", name: "lib" } as const],
    ]);
    const graph = await plan(
      "FROM broken AS lib\nRUN no\nFROM docker.io/library/alpine:latest\nCOPY --from=lib a /a\n",
      { namedContexts },
    );
    expect(graph.asked).toEqual(["oci-layout:///l"]);
    const [copy] = graph.steps.filter((step) => step.kind === "copy");
    expect(copy?.sources).toEqual([{ type: "path", from: { type: "context", name: "lib" }, path: "a" }]);
  });

  test("lets a named context stand for a stage, also for the target and for a stage named by number", async () => {
    const namedContexts = new Map([["lib", { type: "image", reference: "other" } as const]]);
    const base = { ...BASE, config: { ...BASE.config, Labels: { from: "other" }, OnBuild: ["RUN trigger"] } };
    const target = await plan("FROM broken AS lib\nRUN no\nLABEL no=1\n", { namedContexts, base });
    expect(target.asked).toEqual(["other"]);
    expect(target.steps.map(({ kind }) => kind)).toEqual(["from"]);
    expect(target.target.config).toMatchObject({ Labels: { from: "other" } });
    expect(target.target.config.OnBuild).toBeUndefined();
    const copied = await plan("FROM broken AS lib\nFROM x\nCOPY --from=0 / /\n", { namedContexts });
    expect(copied.asked.toSorted()).toEqual(["other", "x"]);
    const based = await plan("FROM broken AS lib\nFROM lib\nRUN --mount=from=lib,target=/l true\n", { namedContexts });
    expect(based.asked).toEqual(["other"]);
  });

  test("prefers a named context that is for the platform, and knows an empty one", async () => {
    const namedContexts = new Map([
      ["x", { type: "image", reference: "any" } as const],
      ["x::linux/amd64", { type: "image", reference: "fitting" } as const],
      ["y", { type: "image", reference: "docker-image://scratch" } as const],
    ]);
    expect((await plan("FROM x\n", { namedContexts })).asked).toEqual(["fitting"]);
    expect((await plan("FROM y\n", { namedContexts })).asked).toEqual([]);
  });

  test("gives the image the platform that was asked for, and else its base's", async () => {
    const text = "FROM --platform=linux/arm64 x\n";
    const asked = await plan(text);
    expect(asked.target.platform).toEqual({ os: "linux", architecture: "amd64" });
    const implied = await plan(text, { platformIsImplied: true });
    expect(implied.target.platform).toEqual({ os: "linux", architecture: "arm64" });
  });

  test("copies from images of the platform that is built, whatever platform the stage is for", async () => {
    const platforms: string[] = [];
    const resolveImage: GraphOptions["resolveImage"] = async (reference, platform) => {
      platforms.push(`${reference} ${platform.architecture}`);
      return imageOf({ ...BASE, ...platform }, platform);
    };
    await plan("FROM --platform=linux/arm64 x\nCOPY --from=y a /b\nRUN --mount=from=z,target=/z true\n", {
      resolveImage,
    });
    expect(platforms.toSorted()).toEqual(["x arm64", "y amd64", "z amd64"]);
  });

  test("tells of a base image that is for another platform", async () => {
    const checks: string[] = [];
    const resolveImage: GraphOptions["resolveImage"] = async (_, platform) => {
      const config: ImageConfig = { ...BASE, architecture: "arm64" };
      return { ...(await imageOf(config, platform)), config };
    };
    await plan("FROM x\n", { resolveImage, onCheck: ({ rule, message }) => checks.push(`${rule}: ${message}`) });
    expect(checks).toEqual([
      'InvalidBaseImagePlatform: Base image x was pulled with platform "linux/arm64", expected "linux/amd64" for current build',
    ]);
  });

  test("gives an image without a PATH the usual one, in its config as well", async () => {
    const graph = await plan("FROM x\nRUN 1\n", { base: { ...BASE, config: { Env: ["A=1"] } } });
    const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    expect(graph.target.config.Env).toEqual(["A=1", path]);
    expect(runs(graph)[0]?.env).toEqual(["A=1", path]);
  });

  test("does not look at the default of an ARG that was given, and takes its name as it is", async () => {
    const text = "FROM x\nENV B=b\nARG A=${bad\nARG $B=1\nRUN 1\n";
    const [run] = runs(await plan(text, { buildArgs: new Map([["A", "given"]]) }));
    expect(run?.env.slice(2)).toEqual(["B=b", "A=given", "$B=1"]);
    await expect(plan(text)).rejects.toMatchObject({ code: "BAD_EXPANSION" });
  });

  test.each([
    ["a", "/base/a"],
    ["a/", "/base/a/"],
    ["./a/.", "/base/a/."],
    [".", "/base"],
    ["..", "/"],
    ["../", "/"],
    ["../../x", "/x"],
    ["/a/../b/", "/a/../b/"],
    ["$NOPE", "/base"],
  ])("takes WORKDIR %s as %s", async (word, wanted) => {
    expect((await plan(`FROM x\nWORKDIR ${word}\n`)).target.config.WorkingDir).toBe(wanted);
  });

  test("takes empty flags of COPY as none", async () => {
    const { steps } = await plan("FROM x\nCOPY --from= --chown= --chmod= --link a /b\n");
    const [copy] = steps.filter((step) => step.kind === "copy");
    expect(copy).toMatchObject({ chown: undefined, chmod: undefined, link: true });
    expect(copy?.sources).toEqual([{ type: "path", from: { type: "context", name: "" }, path: "a" }]);
  });

  test("copies with --link only where no mode is to be changed, as BuildKit does", async () => {
    const { steps } = await plan('FROM x\nCOPY --link a /\nCOPY --link --chmod=1 a /\nCOPY --link --chmod="" a /\n');
    expect(steps.flatMap((step) => (step.kind === "copy" ? [step.link] : []))).toEqual([true, false, true]);
  });

  test("marks the steps of stages that are to run again", async () => {
    const graph = await plan("FROM x AS a\nRUN 1\nFROM x AS b\nCOPY --from=a / /\nRUN 2\n", { noCache: ["A"] });
    expect(runs(graph).map(({ noCache }) => noCache === true)).toEqual([true, false]);
  });

  test("warns of build args that nothing uses", async () => {
    const { warnings } = await plan("FROM x\nARG A\n", {
      buildArgs: new Map([
        ["A", "1"],
        ["NOPE", "2"],
        ["HTTP_PROXY", "p"],
      ]),
    });
    expect(warnings).toEqual(["One or more build-args [NOPE] were not consumed"]);
  });

  test.each([
    ["FROM ${NOPE}\n", "BASE_INVALID", /should not be blank/],
    ["FROM x AS a\nCOPY --from=1 / /\n", "STAGE_UNKNOWN", /invalid stage index/],
    ["FROM x AS a\nCOPY --from=b / /\nFROM x AS b\nFROM a\n", "STAGE_UNKNOWN", /does not stand before/],
    ["FROM x\nRUN --mount=type=weird,target=/x true\n", "MOUNT_INVALID", /unsupported mount type/],
    ["FROM x\nWORKDIR /\nRUN --mount=type=cache true\n", "MOUNT_INVALID", /invalid mount target/],
    ["FROM Base AS a\nFROM x\n", "BASE_INVALID", /failed to parse stage name "Base"/],
    ["FROM x AS base\nFROM BASE\n", "BASE_INVALID", /failed to parse stage name "BASE"/],
    ["ARG A\nFROM ${A} AS unused\nFROM x\n", "BASE_INVALID", /should not be blank/],
    ["FROM --platform=a/b/c/d x AS unused\nFROM x\n", "BASE_INVALID", /failed to parse platform/],
    ["FROM x AS unused\nCOPY --from=$A / /\nFROM x\n", "STAGE_UNKNOWN", /not supported for --from/],
    ["FROM x\nRUN --mount=from=$A,target=/x true\n", "STAGE_UNKNOWN", /doesn't support variable expansion/],
    ["FROM x\nRUN --mount=type=secret,id=a,source=b true\n", "MOUNT_INVALID", /both source and id/],
    ["FROM x\nRUN --mount=type=secret,id=a,from=b true\n", "MOUNT_INVALID", /should not have a from/],
    ["FROM x\nRUN --mount=type=secret true\n", "MOUNT_INVALID", /one of source, target required/],
    ["FROM x\nRUN --mount=type=bind,target=/a,mode=0700 true\n", "MOUNT_INVALID", /mode not allowed for "bind"/],
    ["FROM x\nRUN --mount=type=cache,target=/a,size=1k true\n", "MOUNT_INVALID", /size not allowed for "cache"/],
    ["FROM x\nRUN --mount=type=bind,target=/a,required true\n", "MOUNT_INVALID", /required not allowed/],
    ["FROM x\nRUN --mount=type=cache,target=/a,sharing=some true\n", "MOUNT_INVALID", /unsupported sharing value/],
    ["FROM x\nRUN --mount=type=bind,target true\n", "MOUNT_INVALID", /must be a key=value pair/],
    ["FROM x\nEXPOSE http\n", "PORT_INVALID", /invalid containerPort/],
    ["FROM x\nEXPOSE 10:20-22\n", "PORT_INVALID", /invalid ranges/],
    ["FROM x\nEXPOSE a:80\n", "PORT_INVALID", /invalid hostPort/],
    ["FROM x\nEXPOSE 1.2.3:80:80\n", "PORT_INVALID", /invalid IP address/],
    ["FROM x\nEXPOSE /tcp\n", "PORT_INVALID", /no port specified/],
    ["FROM x\nVOLUME $NOPE\n", "OPTION_INVALID", /can not be an empty string/],
    ["FROM x\nSTOPSIGNAL 0\n", "SIGNAL_INVALID", /invalid signal/],
    ["FROM x\nADD https://a/b.git?ref=1&ref=2 /c\n", "COPY_UNSUPPORTED", /multiple values/],
    ["FROM x\nADD --keep-git-dir=false https://a/b.git?keep-git-dir=1 /c\n", "COPY_UNSUPPORTED", /inconsistent/],
    ["FROM x\nADD --checksum=abc https://a/b.git?checksum=abd /c\n", "COPY_UNSUPPORTED", /checksum mismatch/],
    ["FROM x\nCOPY git@a.b:c/d /e\n", "COPY_UNSUPPORTED", /can't be a git ref/],
    ["FROM x\nSTOPSIGNAL NOPE\n", "SIGNAL_INVALID", /invalid signal/],
    ["FROM x\nCOPY https://a/b /c\n", "COPY_UNSUPPORTED", /can't be a URL/],
    ["FROM x\nADD --checksum=sha256:1 a /b\n", "COPY_UNSUPPORTED", /requires HTTP/],
    ["FROM x\nRUN --network=some true\n", "OPTION_INVALID", /network mode is not valid/],
  ])("refuses %j", async (text, code, message) => {
    await expect(plan(text)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test("suggests a target that is close", async () => {
    await expect(plan("FROM x AS build\nFROM x\n", { target: "biuld" })).rejects.toMatchObject({
      code: "TARGET_UNKNOWN",
      hint: 'Did you mean "build"?',
    });
  });
});

describe("stepDefinition()", () => {
  const definitions = async (text: string): Promise<readonly string[]> => {
    const graph = await plan(text);
    return graph.steps.flatMap((step) => (step.kind === "from" ? [] : [JSON.stringify(stepDefinition(step))]));
  };

  test("does not depend on comments, lines, names of stages, labels", async () => {
    const one = await definitions("FROM x\nRUN a\nCOPY b /c\nWORKDIR /w\n");
    const two = await definitions(
      "# hello\n\nFROM x AS named\nLABEL l=1\nRUN  a\n# more\nCOPY   b   /c\nEXPOSE 1\nWORKDIR /w\n",
    );
    expect(two).toEqual(one);
  });

  test.each([
    ["RUN a", "RUN b"],
    ["RUN a", 'RUN ["a"]'],
    ["RUN a", "RUN --network=none a"],
    ["RUN a", "USER u\nRUN a"],
    ["RUN a", "ENV E=1\nRUN a"],
    ["RUN --mount=type=secret,id=a a", "RUN --mount=type=secret,id=b a"],
    ["COPY a b /c/", 'COPY ["a b", "/c/"]'],
    ["COPY a /c", "COPY a /c/"],
    ["COPY a /c", "COPY --link a /c"],
    ["COPY a /c", "ADD a /c"],
    ["COPY --chown=1 a /c", "COPY --chown=2 a /c"],
    ["WORKDIR /a", "USER u\nWORKDIR /a"],
  ])("tells %j from %j", async (one, two) => {
    expect(await definitions(`FROM x\n${one}\n`)).not.toEqual(await definitions(`FROM x\n${two}\n`));
  });
});
