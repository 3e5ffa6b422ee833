import { existsSync, mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Workspace } from "./varve.ts";

const DOCKERFILE = `FROM busybox AS tools
RUN echo tool > /tool
FROM busybox
COPY a.txt /
COPY --from=tools /tool /tool
RUN --mount=type=cache,target=/c cat /a.txt /tool > /both && echo x > /c/x
CMD ["cat", "/both"]
`;

/** Lets all of the store have been used a week ago. */
function age(store: string): void {
  const then = Date.now() / 1000 - 7 * 24 * 3600;
  for (const parent of ["blobs/sha256", "layers", "cache-mounts"])
    for (const name of existsSync(join(store, parent)) ? readdirSync(join(store, parent)) : [])
      utimesSync(join(store, parent, name), then, then);
}

function blobs(store: string): number {
  return readdirSync(join(store, "blobs", "sha256")).length;
}

test("varve cache prune frees all but images with a name, which still run, and a build makes the rest again", async () => {
  using work = new Workspace();
  const context = work.context({ Dockerfile: DOCKERFILE, "a.txt": "a\n" });
  await work.build(["-t", "app:1", context]);
  const before = blobs(work.store);
  const { code, stdout, stderr } = await work.run(["cache", "prune"]);
  expect([code, stdout]).toEqual([0, expect.stringMatching(/^Total reclaimed space: \d.*B\n$/)]);
  expect(stderr).toMatch(/items removed; the store takes .*B now\n$/);
  expect(blobs(work.store)).toBeLessThan(before);
  expect(readdirSync(join(work.store, "layers"))).toEqual([]);
  expect(readdirSync(join(work.store, "cache-mounts"))).toEqual([]);
  expect((await work.run(["run", "app:1"])).stdout).toBe("a\ntool\n");
  await work.build(["-t", "app:1", context]);
  expect((await work.run(["cache", "prune", "--all"])).code).toBe(0);
  expect([blobs(work.store), (await work.run(["images", "-aq"])).stdout]).toEqual([0, ""]);
  await work.build(["-t", "app:1", context]);
  expect((await work.run(["run", "app:1"])).stdout).toBe("a\ntool\n");
});

test("varve cache prune keeps what is young enough, or fits", async () => {
  using work = new Workspace();
  const context = work.context({ Dockerfile: DOCKERFILE, "a.txt": "a\n" });
  await work.build(["-t", "app:1", context]);
  const before = blobs(work.store);
  for (const args of [
    ["--filter", "until=24h"],
    ["--max-used-space", "10GB"],
    ["--keep-storage=10gb", "-f"],
  ]) {
    expect((await work.run(["cache", "prune", ...args])).stdout).toBe("Total reclaimed space: 0B\n");
    expect(blobs(work.store)).toBe(before);
  }
  age(work.store);
  await work.run(["cache", "prune", "--filter", "until=24h"]);
  expect(blobs(work.store)).toBeLessThan(before);
});

test("a build makes room where the store takes too much, and keeps what it made last", async () => {
  using work = new Workspace();
  const context = work.context({ Dockerfile: "FROM scratch\nCOPY big /\n" });
  const sizes: number[] = [];
  for (const number of [1, 2, 3, 4]) {
    writeFileSync(join(context, "big"), Buffer.alloc(1_000_000, `${number} ${Math.random()}`));
    await work.build(["--compression", "uncompressed", context], { env: { VARVE_MAX_USED_SPACE: "2500k" } });
    age(work.store);
    sizes.push(readdirSync(join(work.store, "blobs", "sha256")).filter((name) => isLarge(work.store, name)).length);
  }
  expect(sizes).toEqual([1, 2, 2, 2]);
  const { stderr } = await work.build([work.context({ big: "5" })], { env: { VARVE_MAX_USED_SPACE: "much" } });
  expect(stderr).toMatch(/WARNING.*The store was not made smaller: Cannot use size "much"/i);
});

function isLarge(store: string, name: string): boolean {
  return statSync(join(store, "blobs", "sha256", name)).size > 900_000;
}

test("builds go on while others prune the store without end", async () => {
  using work = new Workspace();
  const contexts = [1, 2, 3].map((number) => {
    const path = work.file(`context-${number}`);
    mkdirSync(path);
    writeFileSync(join(path, "a.txt"), `${number}\n`);
    writeFileSync(join(path, "Dockerfile"), DOCKERFILE);
    return path;
  });
  const state = { building: true };
  const prune = async (): Promise<number> => {
    let turns = 0;
    for (; state.building; turns += 1) {
      const { code, stderr } = await work.run(["cache", "prune"]);
      if (code !== 0) throw new Error(stderr);
    }
    return turns;
  };
  const pruning = prune();
  await Promise.all(
    contexts.map(async (context, position) => {
      for (const turn of [1, 2]) {
        await work.build(["-t", `app:${position}`, "--build-arg", `TURN=${turn}`, context]);
        expect((await work.run(["run", `app:${position}`])).stdout).toBe(`${position + 1}\ntool\n`);
      }
    }),
  ).finally(() => (state.building = false));
  expect(await pruning).toBeGreaterThan(2);
});

test.each([
  [["--filter", "label=x"], /wanted until=DURATION/],
  [["--filter", "until=soon"], /wanted a duration/],
  [["--max-used-space", "lots"], /Cannot use size "lots"/],
  [["extra"], /one word too many/],
])("varve cache prune refuses %j", async (args, message) => {
  using work = new Workspace();
  const outcome = await work.run(["cache", "prune", ...args]);
  expect(outcome.stderr).toMatch(message);
  expect(outcome.code).toBe(2);
});
