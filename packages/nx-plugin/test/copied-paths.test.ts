import { expect, test } from "vitest";
import { copiedPaths } from "../src/copied-paths.ts";

const paths = async (lines: readonly string[], target?: string): Promise<readonly string[]> => {
  const options = { target, buildArgs: new Map([["DIR", "given"]]), contexts: ["assets"] };
  const found = await copiedPaths(lines.join("\n"), options);
  return found.map(({ context, path }) => `${context}:${path}`);
};

test.each<[string, readonly string[], readonly string[]]>([
  ["COPY and ADD", ["FROM a", "COPY x ./y/ /", "ADD z https://example.com/w /"], [":x", ":y", ":z"]],
  ["all of the context", ["FROM a", "COPY . ."], [":"]],
  ["variables", ["FROM a", "ARG DIR=default", "ENV E=$DIR/e", "COPY $E ${NONE:-none} /"], [":given/e", ":none"]],
  ["mounts", ["FROM a", "RUN --mount=type=bind,source=m,target=/m true"], [":m"]],
  ["no other stages' files", ["FROM a AS b", "FROM a", "COPY --from=b x /", "COPY --from=img y /"], []],
  ["no inline files", ["FROM a", "COPY <<EOF /f", "x", "EOF"], []],
  ["named contexts", ["FROM a", "COPY --from=assets logo.svg /"], ["assets:logo.svg"]],
  ["only stages that are needed", ["FROM a AS b", "COPY b /", "FROM a AS c", "COPY c /", "FROM b"], [":b"]],
  ["each path once", ["FROM a", "COPY x /", "COPY ./x /y"], [":x"]],
  ["no way out of the context", ["FROM a", "COPY ../x /"], [":x"]],
])("copiedPaths() finds %s", async (_, lines, wanted) => {
  expect(await paths(lines)).toEqual(wanted);
});

test("copiedPaths() starts at the target", async () => {
  expect(await paths(["FROM a AS b", "COPY b /", "FROM a AS c", "COPY c /"], "b")).toEqual([":b"]);
});
