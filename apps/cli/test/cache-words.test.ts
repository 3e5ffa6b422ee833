import { describe, expect, test } from "vitest";
import { BUILD_FLAGS } from "../src/build-flags.ts";
import { type CacheWords, parseCaches } from "../src/cache-words.ts";
import { UsageError } from "../src/errors.ts";
import { parseFlags } from "../src/flags.ts";

function parse(args: readonly string[], environment: NodeJS.ProcessEnv = {}): CacheWords {
  return parseCaches(parseFlags(args, BUILD_FLAGS), environment);
}

describe("parseCaches()", () => {
  test("takes the server from the flag, else from the environment", () => {
    const environment = {
      VARVE_CACHE_URL: "https://env.example.com/",
      VARVE_CACHE_TOKEN: "t",
      VARVE_CACHE_UPLOAD: "none",
    };
    expect(parse([])).toMatchObject({
      url: undefined,
      token: undefined,
      upload: { mode: "background", limit: 60_000 },
    });
    expect(parse([], environment)).toMatchObject({
      url: "https://env.example.com",
      token: "t",
      upload: { mode: "none" },
    });
    expect(parse(["--cache=http://localhost:1/base/"], environment).url).toBe("http://localhost:1/base");
    expect(parse(["--cache="], environment).url).toBeUndefined();
  });

  test.each([
    ["wait", { mode: "wait", limit: 2 ** 31 - 1 }],
    ["wait=9", { mode: "wait", limit: 9_000 }],
    ["background=5", { mode: "background", limit: 5_000 }],
  ])("--cache-upload=%s", (text, upload) => {
    expect(parse([`--cache-upload=${text}`]).upload).toEqual(upload);
  });

  test.each([
    [
      "--cache-from=registry.example.com/team/app:c",
      { type: "registry", mode: undefined, reference: { repository: "team/app", tag: "c" } },
    ],
    [
      "--cache-from=type=registry,ref=app",
      { type: "registry", reference: { registry: "docker.io", repository: "library/app" } },
    ],
    ["--cache-from=type=local,src=dir,tag=t", { type: "local", path: "dir", tag: "t", mode: undefined }],
    ["--cache-to=type=local,dest=dir", { type: "local", path: "dir", tag: "latest", mode: "min" }],
    [
      "--cache-to=type=registry,ref=app,mode=max,oci-mediatypes=true,compression=zstd",
      { type: "registry", mode: "max" },
    ],
  ])("%s", (arg, expected) => {
    expect(parse([arg]).others).toMatchObject([expected]);
  });

  test("sets aside the caches that varve does not have", () => {
    expect(parse(["--cache-to=type=gha,mode=max,scope=x", "--cache-from=type=s3,bucket=b"])).toMatchObject({
      others: [],
      unknown: ["s3", "gha"],
    });
  });

  test.each([
    ["--cache=cache.example.com", "wanted the URL of a cache server"],
    ["--cache=https://user:secret@cache.example.com", "wanted the URL"],
    ["--cache-upload=later", "wanted wait, background or none"],
    ["--cache-verify-key=abc", "32 bytes in base64"],
    ["--cache-to=type=local", "it needs dest=DIRECTORY"],
    ["--cache-from=type=local,dest=x", 'option "dest" is unknown'],
    ["--cache-to=type=registry,ref=app,mode=maxi", "wanted min or max"],
    ["--cache-to=type=tape,ref=x", 'type "tape" is unknown'],
    ["--cache-to=app@sha256:0", "wanted ref="],
  ])("refuses %s", (arg, message) => {
    expect(() => parse([arg])).toThrow(UsageError);
    expect(() => parse([arg])).toThrow(message);
  });
});
