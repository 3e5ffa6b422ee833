import { describe, expect, test } from "vitest";
import { BUILD_FLAGS } from "../src/build-flags.ts";
import { buildArgs, epochOf, platforms, runDefaults, secrets } from "../src/build-settings.ts";
import { parseOptions, splitCsv } from "../src/csv.ts";
import { parseFlags } from "../src/flags.ts";
import { parseOutputs } from "../src/outputs.ts";

const parse = (...argv: readonly string[]): ReturnType<typeof parseFlags> => parseFlags(argv, BUILD_FLAGS);

describe("parseFlags()", () => {
  test("takes values behind a space, an equals sign, and right behind a short flag", () => {
    const flags = parse("-f", "a", "--tag=b:1", "-tc", "--no-cache", "--pull=false", "ctx", "--", "-x");
    expect([flags.value("file"), flags.list("tag"), flags.is("no-cache"), flags.is("pull"), flags.positionals]).toEqual(
      ["a", ["b:1", "c"], true, false, ["ctx", "-x"]],
    );
  });

  test.each([
    [["--taget", "x"], /unknown flag "--taget"/],
    [["-z"], /unknown flag "-z"/],
    [["--tag"], /needs a value/],
    [["--no-cache=maybe"], /is a switch/],
  ])("refuses %j", (argv, message) => {
    expect(() => parse(...argv)).toThrow(message);
  });
});

describe("splitCsv()", () => {
  test.each([
    ["a=1,b", ["a=1", "b"]],
    ['"a=1,2",b=3', ["a=1,2", "b=3"]],
    ['"say ""hi"""', ['say "hi"']],
    ["", [""]],
  ])("%s", (text, wanted) => {
    expect(splitCsv(text)).toEqual(wanted);
  });

  test("refuses a quote that is not closed", () => {
    expect(() => parseOptions('a="b,c')).not.toThrow();
    expect(() => parseOptions('"b,c')).toThrow(/not closed/);
  });
});

describe("parseOutputs()", () => {
  test.each([
    [["-o", "out"], { type: "local", dest: "out" }],
    [["-o", "-"], { type: "tar", dest: "-" }],
    [
      ["-o", "type=oci,dest=x.tar,compression=zstd,compression-level=7"],
      { type: "oci", dest: "x.tar", compression: { type: "zstd", level: 7 } },
    ],
    [["--push"], { type: "registry", push: true }],
    [["--load"], { type: "docker", mediaTypes: "docker" }],
    [
      ["-o", "type=image,name=a/b:1,push=true,annotation.k=v"],
      { type: "image", names: ["a/b:1"], push: true, annotations: [["k", "v"]] },
    ],
    [
      ["-o", "type=docker,dest=d.tar,oci-mediatypes=true,rewrite-timestamp=true"],
      { mediaTypes: "oci", rewriteTimestamp: true },
    ],
  ])("%j", (argv, wanted) => {
    expect(parseOutputs(parse(...argv))).toMatchObject([wanted]);
  });

  test.each([
    "type=zip",
    "type=local,dest=-",
    "type=oci,dest=a,colour=red",
    "type=oci,dest=a,compression=lzma",
    "type=oci,dest=a,compression-level=99",
    "type=oci,dest=a,tar=perhaps",
  ])("refuses %s", (text) => {
    expect(() => parseOutputs(parse("-o", text))).toThrowError(expect.objectContaining({ code: "USAGE" }));
  });
});

describe("build settings", () => {
  test("take build args from the command line and the environment", () => {
    process.env["VARVE_TEST_ARG"] = "env";
    const args = buildArgs(
      parse("--build-arg", "A=1=2", "--build-arg", "VARVE_TEST_ARG", "--build-arg", "VARVE_TEST_ABSENT"),
    );
    expect([...args].filter(([name]) => name !== "SOURCE_DATE_EPOCH")).toEqual([
      ["A", "1=2"],
      ["VARVE_TEST_ARG", "env"],
    ]);
    delete process.env["VARVE_TEST_ARG"];
  });

  test("check SOURCE_DATE_EPOCH", () => {
    expect(epochOf(new Map([["SOURCE_DATE_EPOCH", "12"]]))).toBe(12);
    expect(() => epochOf(new Map([["SOURCE_DATE_EPOCH", "yesterday"]]))).toThrow(/seconds since 1970/);
  });

  test("read platforms, secrets, hosts and limits", () => {
    expect(platforms(parse("--platform", "linux/amd64,linux/arm/v7"))).toHaveLength(2);
    expect(secrets(parse("--secret", "id=a,src=/x", "--secret", "id=b,env=B", "--secret", "id=C"))).toEqual(
      new Map([
        ["a", { type: "file", path: "/x" }],
        ["b", { type: "env", name: "B" }],
        ["C", { type: "env", name: "C" }],
      ]),
    );
    const defaults = runDefaults(
      parse("--network=none", "--add-host", "h:1.2.3.4", "--ulimit", "nofile=1:2", "--shm-size", "64m"),
      new Map(),
    );
    expect(defaults).toMatchObject({
      network: "none",
      extraHosts: [["h", "1.2.3.4"]],
      ulimits: [{ name: "nofile", soft: 1, hard: 2 }],
      shmSize: 64 * 1024 ** 2,
    });
    expect(() => secrets(parse("--secret", "src=/x"))).toThrow(/no id/);
  });
});
