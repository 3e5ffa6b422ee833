import { describe, expect, test } from "vitest";
import { OPTIONS, toArguments } from "../../src/config/options.ts";

describe("toArguments()", () => {
  test.each([
    [{ tag: "app:1", noCache: true, context: "." }, ["--tag=app:1", "--no-cache=true", "--", "."]],
    [{ tag: ["a:1", "b:1"], push: false }, ["--tag=a:1", "--tag=b:1", "--push=false"]],
    [
      { buildArg: { VERSION: 2, DEBUG: true, HTTP_PROXY: null } },
      ["--build-arg=VERSION=2", "--build-arg=DEBUG=true", "--build-arg=HTTP_PROXY"],
    ],
    [{ addHost: { db: "10.0.0.2" }, ulimit: ["nofile=1:2"] }, ["--add-host=db:10.0.0.2", "--ulimit=nofile=1:2"]],
    [{ label: { "org.a=b": "c" }, target: undefined }, ["--label=org.a=b=c"]],
    [{ shmSize: 1024 }, ["--shm-size=1024"]],
  ])("%j", (options, wanted) => {
    expect(toArguments(options)).toEqual(wanted);
  });

  test.each([
    [{ tags: ["a"] }, 'Cannot use option "tags" of here: there is none of that name', 'Did you mean "tag"?'],
    [{ "build-arg": {} }, 'Cannot use option "build-arg" of here: there is none', 'Did you mean "buildArg"?'],
    [{ check: true }, 'Cannot use option "check" of here: there is none', undefined],
    [
      { push: "yes" },
      'Cannot use option "push" of here: its value has the wrong type; wanted true or false',
      undefined,
    ],
    [{ target: ["a"] }, 'Cannot use option "target" of here: its value has the wrong type; wanted a string', undefined],
    [{ tag: { a: "b" } }, "wanted a string or a list of strings", undefined],
    [{ label: { a: null } }, 'wanted "a" as a string', undefined],
    [{ label: true }, "wanted an object of names and values, or a list of strings", undefined],
    [{ context: 1 }, 'Cannot use option "context" of here: its value has the wrong type; wanted a string', undefined],
  ])("refuses %j", (options, message, hint) => {
    const act = (): unknown => toArguments(options, () => " of here");
    expect(act).toThrow(message);
    if (hint !== undefined) expect(act).toThrow(expect.objectContaining({ hint }));
  });
});

test("OPTIONS are flags in camelCase", () => {
  expect(OPTIONS.map(({ key }) => key)).toEqual(
    expect.arrayContaining(["buildArg", "file", "metadataFile", "noCache", "noCacheFilter", "tag"]),
  );
});
