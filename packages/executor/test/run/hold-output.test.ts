import { expect, test } from "vitest";
import { holdOutput } from "../../src/run/hold-output.ts";

function collect(milliseconds: number): { readonly said: string[]; readonly held: ReturnType<typeof holdOutput> } {
  const said: string[] = [];
  return {
    said,
    held: holdOutput((stream, chunk) => said.push(`${stream} ${Buffer.from(chunk).toString()}`), milliseconds),
  };
}

test("holdOutput() passes output on in order once it is released", () => {
  const { said, held } = collect(60_000);
  held.onOutput("stdout", Buffer.from("1"));
  held.onOutput("stderr", Buffer.from("2"));
  expect(said).toEqual([]);
  held.release();
  held.onOutput("stdout", Buffer.from("3"));
  held.release();
  expect(said).toEqual(["stdout 1", "stderr 2", "stdout 3"]);
});

test("holdOutput() releases by itself", async () => {
  const { said, held } = collect(5);
  held.onOutput("stdout", Buffer.from("1"));
  await expect.poll(() => said).toEqual(["stdout 1"]);
});

test("holdOutput() forgets what is dropped", () => {
  const { said, held } = collect(60_000);
  held.onOutput("stdout", Buffer.from("1"));
  held.drop();
  held.release();
  expect(said).toEqual([]);
});
