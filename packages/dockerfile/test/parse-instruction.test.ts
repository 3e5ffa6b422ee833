import { describe, expect, test } from "vitest";
import { DockerfileError } from "../src/errors.ts";
import { parseDockerfile, parseTrigger } from "../src/parse-dockerfile.ts";
import { INSTRUCTIONS } from "../src/parse-instruction.ts";

const SECOND = 1_000_000_000;

/** The instruction after a FROM in line 1, without place and text. */
function parse(line: string): unknown {
  const { dockerfile } = parseDockerfile(`FROM a\n${line}\n`, { file: "Dockerfile" });
  const [last] = [dockerfile.stages.at(-1)];
  const {
    location: _location,
    text: _text,
    ...rest
  } = last?.instructions[0] ?? last?.from ?? { location: 0, text: "" };
  return withoutKeyword(rest);
}

function withoutKeyword(value: object): object {
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== "keyword"));
}

function failure(text: string): DockerfileError {
  try {
    parseDockerfile(text, { file: "Dockerfile" });
  } catch (error) {
    if (error instanceof DockerfileError) return error;
    throw error;
  }
  throw new Error("It was understood");
}

const shell = (script: string): object => ({ form: "shell", script, heredocs: [] });
const words = (...all: string[]): object[] => all.map((word) => ({ kind: "word", word }));
const copy = { kind: "COPY", link: false, parents: false, exclude: [] };
const add = { kind: "ADD", link: false, parents: false, exclude: [] };
const run = { kind: "RUN", mounts: [], devices: [] };

describe("parseInstruction()", () => {
  test.each([
    ["FROM b", { kind: "FROM", image: "b" }],
    ["from b as c", { kind: "FROM", image: "b", stageName: "c", asKeyword: "as" }],
    [
      "FROM --platform=$BUILDPLATFORM b:1@sha256:0 AS Cd_e.f-1",
      { kind: "FROM", image: "b:1@sha256:0", platform: "$BUILDPLATFORM", stageName: "Cd_e.f-1", asKeyword: "AS" },
    ],
    ["RUN echo  hi", { ...run, command: shell("echo  hi") }],
    ['RUN ["a", "b c"]', { ...run, command: { form: "exec", args: ["a", "b c"] } }],
    ['RUN ["a"] b', { ...run, command: shell('["a"] b') }],
    ["RUN ['a']", { ...run, command: shell("['a']") }],
    ["RUN [ -e /x ]", { ...run, command: shell("[ -e /x ]") }],
    ["RUN", { ...run, command: shell("") }],
    [
      "RUN --mount=type=cache,target=/x,readonly --mount=type=tmpfs,TARGET=/y --network=none --security=insecure --device=a --device=b make",
      {
        ...run,
        command: shell("make"),
        mounts: [
          {
            raw: "type=cache,target=/x,readonly",
            options: [
              ["type", "cache"],
              ["target", "/x"],
              ["readonly", undefined],
            ],
          },
          {
            raw: "type=tmpfs,TARGET=/y",
            options: [
              ["type", "tmpfs"],
              ["target", "/y"],
            ],
          },
        ],
        network: "none",
        security: "insecure",
        devices: ["a", "b"],
      },
    ],
    [
      String.raw`RUN --mount=\"target=/a,b\",type=cache x`,
      {
        ...run,
        command: shell("x"),
        mounts: [
          {
            raw: '"target=/a,b",type=cache',
            options: [
              ["target", "/a,b"],
              ["type", "cache"],
            ],
          },
        ],
      },
    ],
    ["RUN -- --x", { ...run, command: shell("--x") }],
    ["COPY a b /c/", { ...copy, sources: words("a", "b"), destination: "/c/" }],
    ['COPY ["a b", "/c d"]', { ...copy, sources: words("a b"), destination: "/c d" }],
    [
      "COPY --from=x --chown=1:2 --chmod=755 --link --parents --exclude=*.a --exclude=*.b a b",
      {
        kind: "COPY",
        from: "x",
        chown: "1:2",
        chmod: "755",
        link: true,
        parents: true,
        exclude: ["*.a", "*.b"],
        sources: words("a"),
        destination: "b",
      },
    ],
    ["COPY --link=false --parents=TRUE a b", { ...copy, parents: true, sources: words("a"), destination: "b" }],
    ['COPY --chown="a b" a b', { ...copy, chown: "a b", sources: words("a"), destination: "b" }],
    ["ADD a /b", { ...add, sources: words("a"), destination: "/b" }],
    [
      "ADD --chown=1 --chmod=u+x --link --exclude=a --checksum=sha256:0 --keep-git-dir --unpack=false http://h/a /b",
      {
        kind: "ADD",
        chown: "1",
        chmod: "u+x",
        link: true,
        parents: false,
        exclude: ["a"],
        checksum: "sha256:0",
        keepGitDir: true,
        unpack: false,
        sources: words("http://h/a"),
        destination: "/b",
      },
    ],
    ["CMD a b", { kind: "CMD", command: shell("a b") }],
    ['CMD ["a", "b"]', { kind: "CMD", command: { form: "exec", args: ["a", "b"] } }],
    ["CMD []", { kind: "CMD", command: { form: "exec", args: [] } }],
    ["ENTRYPOINT a", { kind: "ENTRYPOINT", command: shell("a") }],
    ['ENTRYPOINT ["a"]', { kind: "ENTRYPOINT", command: { form: "exec", args: ["a"] } }],
    ["ENV a=b", { kind: "ENV", variables: [{ key: "a", value: "b" }] }],
    [
      String.raw`ENV a="b c" d=e\ f g='h' i=`,
      {
        kind: "ENV",
        variables: [
          { key: "a", value: '"b c"' },
          { key: "d", value: String.raw`e\ f` },
          { key: "g", value: "'h'" },
          { key: "i", value: "" },
        ],
      },
    ],
    ["ENV a b  c=d", { kind: "ENV", variables: [{ key: "a", value: "b  c=d", legacy: true }] }],
    [
      'LABEL a=b "c d"=e',
      {
        kind: "LABEL",
        labels: [
          { key: "a", value: "b" },
          { key: '"c d"', value: "e" },
        ],
      },
    ],
    ["LABEL a b", { kind: "LABEL", labels: [{ key: "a", value: "b", legacy: true }] }],
    ["ARG a", { kind: "ARG", args: [{ name: "a" }] }],
    [
      "ARG a=b c d='e f' g=",
      {
        kind: "ARG",
        args: [{ name: "a", value: "b" }, { name: "c" }, { name: "d", value: "'e f'" }, { name: "g", value: "" }],
      },
    ],
    ["EXPOSE 80 443/tcp", { kind: "EXPOSE", ports: ["80", "443/tcp"] }],
    ["VOLUME /a /b", { kind: "VOLUME", volumes: ["/a", "/b"] }],
    ['VOLUME ["/a b", "/c"]', { kind: "VOLUME", volumes: ["/a b", "/c"] }],
    ["USER a:b", { kind: "USER", user: "a:b" }],
    ["WORKDIR /a b", { kind: "WORKDIR", path: "/a b" }],
    ["MAINTAINER a <b@c>", { kind: "MAINTAINER", maintainer: "a <b@c>" }],
    ["STOPSIGNAL SIGKILL", { kind: "STOPSIGNAL", signal: "SIGKILL" }],
    ["ONBUILD RUN a", { kind: "ONBUILD", trigger: "RUN a" }],
    ['SHELL ["/bin/bash", "-c"]', { kind: "SHELL", shell: ["/bin/bash", "-c"] }],
    ["HEALTHCHECK NONE", { kind: "HEALTHCHECK", test: { type: "NONE" } }],
    ["HEALTHCHECK none", { kind: "HEALTHCHECK", test: { type: "NONE" } }],
    ["HEALTHCHECK CMD a b", { kind: "HEALTHCHECK", test: { type: "CMD", command: shell("a b") } }],
    [
      'HEALTHCHECK --interval=1m30s --timeout=1.5s --start-period=0s --start-interval=100ms --retries=3 CMD ["a"]',
      {
        kind: "HEALTHCHECK",
        test: { type: "CMD", command: { form: "exec", args: ["a"] } },
        interval: 90 * SECOND,
        timeout: 1.5 * SECOND,
        startPeriod: 0,
        startInterval: SECOND / 10,
        retries: 3,
      },
    ],
  ])("understands %s", (line, expected) => {
    expect(parse(line)).toEqual(expected);
  });

  test.each(INSTRUCTIONS)("knows the keyword %s in any case", (kind) => {
    const error = (keyword: string): string => {
      try {
        parseDockerfile(`FROM a\n${keyword} x`, { file: "Dockerfile" });
        return "";
      } catch (cause) {
        return (cause as DockerfileError).code;
      }
    };
    expect(error(kind)).not.toBe("UNKNOWN_INSTRUCTION");
    expect(error(kind.toLowerCase())).toBe(error(kind));
  });

  test.each([
    ["RNU a", "UNKNOWN_INSTRUCTION", "unknown instruction: RNU", "Did you mean RUN?"],
    ["frobnicate a", "UNKNOWN_INSTRUCTION", "unknown instruction: frobnicate", undefined],
    ["RUN --mont=a b", "UNKNOWN_FLAG", "unknown flag: --mont", "Did you mean --mount?"],
    ["ENV --x=a b=c", "UNKNOWN_FLAG", "unknown flag: --x", undefined],
    ["COPY --constructor=a b c", "UNKNOWN_FLAG", "unknown flag: --constructor", undefined],
    ["ADD --from=a b c", "UNKNOWN_FLAG", "unknown flag: --from", undefined],
    ["COPY --from a b", "BAD_FLAG", "missing a value on flag: --from", undefined],
    ["COPY --from=a --from=b c d", "BAD_FLAG", "duplicate flag specified: --from", undefined],
    ["COPY --link=maybe a b", "BAD_FLAG", "expecting boolean value for flag --link, not: maybe", undefined],
    ["COPY a", "BAD_ARGUMENT", "COPY requires at least two arguments, but only one was provided", undefined],
    ["ADD", "BAD_ARGUMENT", "ADD requires at least two arguments. Destination", undefined],
    ["RUN [1]", "BAD_ARGUMENT", "arrays must be comprised of strings only", undefined],
    ['SHELL ["a", null]', "BAD_ARGUMENT", "arrays must be comprised of strings only", undefined],
    ["SHELL /bin/sh", "BAD_ARGUMENT", "SHELL requires the arguments to be in JSON form", undefined],
    ["SHELL []", "BAD_ARGUMENT", "SHELL requires at least one argument", undefined],
    ["FROM", "BAD_ARGUMENT", "FROM requires either one or three arguments", undefined],
    ["FROM a b", "BAD_ARGUMENT", "FROM requires either one or three arguments", undefined],
    ["FROM a is b", "BAD_ARGUMENT", "FROM requires either one or three arguments", undefined],
    ["FROM a AS 1b", "BAD_ARGUMENT", 'invalid name for build stage: "1b"', undefined],
    ["ENV", "BAD_ARGUMENT", "ENV requires at least one argument", undefined],
    ["ENV a", "BAD_ARGUMENT", "ENV must have two arguments", undefined],
    ["ENV a=b c", "BAD_ARGUMENT", `can't find = in "c"`, undefined],
    ["ENV =b", "BAD_ARGUMENT", "ENV names can not be blank", undefined],
    ["LABEL", "BAD_ARGUMENT", "LABEL requires at least one argument", undefined],
    ["ARG", "BAD_ARGUMENT", "ARG requires at least one argument", undefined],
    ["ARG =a", "BAD_ARGUMENT", "ARG names can not be blank", undefined],
    ["EXPOSE", "BAD_ARGUMENT", "EXPOSE requires at least one argument", undefined],
    ["VOLUME", "BAD_ARGUMENT", "VOLUME requires at least one argument", undefined],
    ['VOLUME [""]', "BAD_ARGUMENT", "VOLUME specified can not be an empty string", undefined],
    ["USER", "BAD_ARGUMENT", "USER requires exactly one argument", undefined],
    ["WORKDIR", "BAD_ARGUMENT", "WORKDIR requires exactly one argument", undefined],
    ["STOPSIGNAL", "BAD_ARGUMENT", "STOPSIGNAL requires exactly one argument", undefined],
    ["MAINTAINER", "BAD_ARGUMENT", "MAINTAINER requires exactly one argument", undefined],
    ["ONBUILD", "BAD_ARGUMENT", "ONBUILD requires at least one argument", undefined],
    ["ONBUILD ONBUILD RUN a", "BAD_ARGUMENT", "ONBUILD ONBUILD", undefined],
    ["ONBUILD from a", "BAD_ARGUMENT", "FROM isn't allowed as an ONBUILD trigger", undefined],
    ["ONBUILD MAINTAINER a", "BAD_ARGUMENT", "MAINTAINER isn't allowed as an ONBUILD trigger", undefined],
    ["HEALTHCHECK", "BAD_ARGUMENT", "HEALTHCHECK requires at least one argument", undefined],
    ["HEALTHCHECK NONE a", "BAD_ARGUMENT", "HEALTHCHECK NONE takes no arguments", undefined],
    ["HEALTHCHECK a", "BAD_ARGUMENT", 'Unknown type "a" in HEALTHCHECK (try CMD)', undefined],
    ["HEALTHCHECK CMD", "BAD_ARGUMENT", "Missing command after HEALTHCHECK CMD", undefined],
    ["HEALTHCHECK --interval=1 CMD a", "BAD_ARGUMENT", 'missing unit in duration "1"', undefined],
    ["HEALTHCHECK --interval=1q CMD a", "BAD_ARGUMENT", 'unknown unit "q" in duration "1q"', undefined],
    ["HEALTHCHECK --timeout=1us CMD a", "BAD_ARGUMENT", "cannot be less than 1ms", undefined],
    ["HEALTHCHECK --timeout=-1s CMD a", "BAD_ARGUMENT", "cannot be less than 1ms", undefined],
    ["HEALTHCHECK --retries=a CMD a", "BAD_ARGUMENT", 'invalid value "a" for --retries', undefined],
    ["HEALTHCHECK --retries=-1 CMD a", "BAD_ARGUMENT", "--retries cannot be negative", undefined],
    [
      "RUN <<A\nb",
      "UNTERMINATED_HEREDOC",
      'unterminated heredoc "A"',
      "End it with a line that holds A and nothing else",
    ],
    ["COPY a <<B\nB", "BAD_ARGUMENT", "COPY cannot accept a heredoc as a destination", undefined],
  ])("refuses %s as %s", (line, code, message, hint) => {
    const error = failure(`# comment\nFROM a\nRUN a \\\n\n  b\n${line}\n`);
    expect(error).toMatchObject({ code, hint, location: { file: "Dockerfile", line: 6 } });
    expect(error.message).toContain(message);
  });
});

describe("parseTrigger()", () => {
  const location = { file: "Dockerfile", line: 3, endLine: 3 };

  test("makes an instruction of a trigger, with its heredocs", () => {
    expect(parseTrigger("COPY <<A /b\nhello\nA", location)).toMatchObject({
      kind: "COPY",
      destination: "/b",
      sources: [{ kind: "heredoc", heredoc: { name: "A", content: "hello\n", expand: true } }],
      location: { line: 3 },
    });
  });

  test("understands what an ONBUILD with a heredoc wrote", () => {
    const { dockerfile } = parseDockerfile("FROM a\nONBUILD RUN <<A\nhello\nA\n", { file: "Dockerfile" });
    const [onbuild] = dockerfile.stages[0]?.instructions ?? [];
    expect(onbuild).toMatchObject({ kind: "ONBUILD", trigger: "RUN <<A\nhello\nA", location: { line: 2, endLine: 4 } });
    expect(parseTrigger((onbuild as { trigger: string }).trigger, location)).toMatchObject({
      command: { form: "shell", script: "<<A", heredocs: [{ content: "hello\n" }] },
    });
  });

  test("refuses what is no instruction", () => {
    expect(() => parseTrigger("FROBNICATE", location)).toThrow(DockerfileError);
  });
});
