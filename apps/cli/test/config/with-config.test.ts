import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { BUILD_FLAGS } from "../../src/build-flags.ts";
import { withConfig } from "../../src/config/with-config.ts";
import { withStore } from "../../src/config/with-store.ts";
import { type Flag, type Parsed, parseFlags } from "../../src/flags.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "varve-config-"));
  vi.stubEnv("VARVE_STORE", undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  rmSync(root, { recursive: true, force: true });
});

/** A command line of `varve build` in a project with this config. */
function merged(config: object, argv: readonly string[]): Parsed {
  writeFileSync(join(root, "varve.json"), JSON.stringify(config));
  return withConfig(parseFlags([...argv, root], BUILD_FLAGS), () => undefined);
}

describe("withStore()", () => {
  const parse = (flags: readonly Flag[], ...argv: readonly string[]): string | undefined =>
    withStore(parseFlags(argv, flags), flags).value("store");
  const store: Flag = { name: "store", value: "DIR", description: "" };

  test("gives commands without a config the store of the project's", () => {
    writeFileSync(join(root, "varve.json"), '{ "store": "s" }');
    vi.spyOn(process, "cwd").mockReturnValue(join(root, "sub"));
    expect(parse([store])).toBe(join(root, "s"));
    expect(parse([store], "--store", "t")).toBe("t");
    expect(parse(BUILD_FLAGS)).toBeUndefined();
    expect(parse([])).toBeUndefined();
    vi.stubEnv("VARVE_STORE", "/elsewhere");
    expect(parse([store])).toBeUndefined();
  });
});

describe("withConfig()", () => {
  test.each([
    [{ tag: "a:1", target: "x" }, ["-t", "b:2"], "tag", ["b:2"]],
    [{ tag: "a:1", target: "x" }, [], "target", ["x"]],
    [{ buildArg: { A: "1", B: "1" } }, ["--build-arg", "A=2"], "build-arg", ["A=1", "B=1", "A=2"]],
    [{ push: true }, ["-o", "type=oci,dest=x"], "push", []],
    [{ output: "type=image" }, ["--push=false"], "output", []],
    [{ noCache: true }, ["--no-cache=false"], "no-cache", ["false"]],
  ])("%j with %j", (config, argv, name, wanted) => {
    expect(merged(config, argv).list(name)).toEqual(wanted);
  });

  test("lets variables stand above the config, and flags above both", () => {
    expect(merged({ store: "s" }, []).value("store")).toBe(relative(process.cwd(), join(root, "s")));
    vi.stubEnv("VARVE_STORE", "/elsewhere");
    expect(merged({ store: "s" }, []).value("store")).toBeUndefined();
    expect(merged({ store: "s" }, ["--store", "t"]).value("store")).toBe("t");
  });

  test.each([
    [{ file: "d/Dockerfile" }, "file", "<d/Dockerfile>"],
    [{ output: "out" }, "output", "<out>"],
    [{ output: "type=oci,dest=out.tar" }, "output", "type=oci,dest=<out.tar>"],
    [{ secret: "id=a,src=token" }, "secret", "id=a,src=<token>"],
    [{ cacheFrom: "type=local,src=c" }, "cache-from", "type=local,src=<c>"],
    [{ cacheTo: "type=local,dest=c,mode=max" }, "cache-to", "type=local,dest=<c>,mode=max"],
    [{ buildContext: { lib: "../lib" } }, "build-context", "lib=<../lib>"],
    [{ buildContext: { base: "oci-layout://l:1" } }, "build-context", "base=oci-layout://<l:1>"],
  ])("takes paths of %j as relative to the config's directory", (config, name, text) => {
    const wanted = text.replace(/<(.*)>/, (_, path: string) => relative(process.cwd(), join(root, path)));
    expect(merged(config, []).value(name)).toBe(wanted);
  });

  test.each([
    [{ output: "type=tar,dest=-" }, "output", "type=tar,dest=-"],
    [{ buildContext: { base: "docker-image://alpine" } }, "build-context", "base=docker-image://alpine"],
    [{ file: "https://example.com/Dockerfile" }, "file", "https://example.com/Dockerfile"],
    [{ secret: "id=a,env=src" }, "secret", "id=a,env=src"],
  ])("leaves %j as it is", (config, name, wanted) => {
    expect(merged(config, []).value(name)).toBe(wanted);
  });

  test("takes the context of the config where the command line names none", () => {
    writeFileSync(join(root, "c.json"), '{ "context": "sub" }');
    const flags = parseFlags(["--config", join(root, "c.json")], BUILD_FLAGS);
    expect(withConfig(flags, () => undefined).positionals).toEqual([relative(process.cwd(), join(root, "sub"))]);
  });

  test("reads none where --config none is given, and says which file it reads", () => {
    mkdirSync(join(root, "sub"));
    writeFileSync(join(root, "varve.json"), '{ "tag": "a:1" }');
    const seen: string[] = [];
    const read = (...argv: readonly string[]): Parsed =>
      withConfig(parseFlags([...argv, join(root, "sub")], BUILD_FLAGS), (file) => seen.push(file));
    expect(read("--config", "none").list("tag")).toEqual([]);
    expect(seen).toEqual([]);
    expect(read().list("tag")).toEqual(["a:1"]);
    expect(seen).toEqual([join(root, "varve.json")]);
  });
});
