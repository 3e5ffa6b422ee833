import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import { afterAll, describe, expect, test } from "vitest";
import { Workspace } from "./varve.ts";

const Dockerfile = `FROM busybox AS one
RUN echo first && sleep 1 && echo last
from busybox AS two
RUN echo second && false
FROM busybox
COPY --from=one /etc/passwd /one
COPY --from=two /etc/passwd /two
`;
const work = new Workspace();
afterAll(() => work[Symbol.dispose]());
const context = work.context({ Dockerfile, "Dockerfile.good": Dockerfile.replace(" && false", "") });
const isLine = new Ajv().compile(
  JSON.parse(readFileSync(join(import.meta.dirname, "../../docs/progress.schema.json"), "utf8")) as object,
);

describe("progress in CI", () => {
  test("groups steps in GitHub Actions, and marks the lines that failed or are warned of", async () => {
    const env = { GITHUB_ACTIONS: "true", GITHUB_WORKSPACE: work.path };
    const { stderr } = await work.fail([context], { env });
    const lines = stderr.split("\n");
    const open = lines.filter((line) => line.startsWith("::group::"));
    expect(open).toContain("::group::[two 2/2] RUN echo second && false");
    expect(lines.filter((line) => line === "::endgroup::")).toHaveLength(open.length);
    expect(lines.find((line) => line.startsWith("::error "))).toMatch(
      /^::error file=context\/Dockerfile,line=4,endLine=4,title=varve::\[two 2\/2\] RUN echo second && false: .*exit code: 1$/,
    );
    expect(lines.find((line) => line.startsWith("::warning "))).toMatch(
      /^::warning file=context\/Dockerfile,line=3,.*::ConsistentInstructionCasing/,
    );
  });

  test("folds steps into sections in GitLab CI, each with its own output", async () => {
    const { stderr } = await work.build(["-f", join(context, "Dockerfile.good"), context], {
      env: { GITLAB_CI: "true" },
    });
    // oxlint-disable-next-line no-control-regex
    const sections = [
      ...stderr.matchAll(/section_start:\d+:(\w+)\r\u001B\[0K(.*)\n([^]*?)\u001B\[0Ksection_end:\d+:\1/g),
    ];
    const bodies = new Map(sections.map(([, , title, body]) => [title, body?.split("\n")]));
    expect(
      bodies.get("[one 2/2] RUN echo first && sleep 1 && echo last")?.filter((line) => /^(?:first|last)$/.test(line)),
    ).toEqual(["first", "last"]);
    expect(bodies.get("[two 2/2] RUN echo second")).toContain("second");
  });

  test("marks the line of a Dockerfile that can't be read", async () => {
    work.context({ "Dockerfile.bad": "FROM busybox\nRUN true\nRUM true\n" });
    const env = { GITHUB_ACTIONS: "true", GITHUB_WORKSPACE: work.path };
    const { stderr } = await work.fail(["-f", join(context, "Dockerfile.bad"), context], { env });
    expect(stderr).toContain("::error file=context/Dockerfile.bad,line=3,endLine=3,title=varve::Cannot ");
  });

  test("is plain where it is asked for", async () => {
    const { stderr } = await work.fail(["--progress=plain", context], { env: { GITHUB_ACTIONS: "true" } });
    expect(stderr).not.toContain("::");
    expect(stderr).toMatch(/^#\d+ ERROR Cannot build: /m);
  });
});

describe("progress as JSON", () => {
  test("is of the schema to the end, also where a build fails", async () => {
    const { stderr } = await work.fail(["--progress=json", context]);
    const lines = stderr
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { readonly type: string });
    expect(lines.filter((line) => !isLine(line))).toEqual([]);
    expect(lines.at(-1)).toMatchObject({ type: "error", code: "COMMAND_FAILED", line: 4 });
    expect(lines.find(({ type }) => type === "graph")).toBeDefined();
  });

  test("is BuildKit's with rawjson: every vertex that began is completed, and all inputs are known", async () => {
    const { stderr } = await work.build([
      "--progress=rawjson",
      "--no-cache",
      "-f",
      join(context, "Dockerfile.good"),
      context,
    ]);
    const lines = stderr
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, readonly Vertex[]>);
    const vertexes = lines.flatMap((line) => line["vertexes"] ?? []);
    const began = new Set(vertexes.filter(({ started }) => started !== undefined).map(({ digest }) => digest));
    const completed = new Set(vertexes.filter((vertex) => vertex.completed !== undefined).map(({ digest }) => digest));
    expect(began.size).toBeGreaterThan(5);
    expect(completed).toEqual(began);
    const known = new Set(vertexes.map(({ digest }) => digest));
    for (const { inputs = [] } of vertexes) for (const input of inputs) expect(known).toContain(input);
  });
});

interface Vertex {
  readonly digest: string;
  readonly inputs?: readonly string[];
  readonly started?: string;
  readonly completed?: string;
}
