import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningCacheServer, startCacheServer } from "../../tools/cache-server.ts";
import { type RunningRegistry, startRegistry } from "../../tools/registry.ts";
import { busyboxArgs, type ProgressLine, runVarve, Workspace } from "./varve.ts";

interface CacheCounts {
  readonly remote: number;
  readonly waited: number;
  readonly faults: number;
  readonly timeSaved: number;
  readonly transfers: {
    readonly sent: number;
    readonly received: number;
    readonly sendSaved: number;
    readonly receiveSaved: number;
  };
}

interface Line extends ProgressLine {
  readonly source?: string;
  readonly message?: string;
  readonly digest?: string;
  readonly id?: string;
  readonly ran?: number;
  readonly cached?: number;
  readonly cache?: CacheCounts;
}

const NOWHERE = ["-o", "type=image,store=false"];

/** The events of a build and its result. */
async function buildOn(
  work: Workspace,
  args: readonly string[],
): Promise<{ readonly lines: readonly Line[]; readonly result: Line }> {
  const lines = (await work.events(args)) as readonly Line[];
  const result = lines.at(-1);
  if (result?.type !== "result") throw new Error(`no result: ${JSON.stringify(result)}`);
  return { lines, result };
}

const typesOf = (lines: readonly Line[], type: string): readonly Line[] => lines.filter((line) => line.type === type);

/** 5,000 files of random bytes that are the same each time. */
function largeTree(): Readonly<Record<string, string>> {
  let state = 12_345;
  const next = (): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state >>> 8;
  };
  const files: Record<string, string> = { Dockerfile: "FROM scratch\nCOPY src /src\n" };
  for (let number = 0; number < 5_000; number += 1) {
    const text = Array.from({ length: 2_000 }, () => next().toString(36)).join("");
    files[`src/${number % 50}/${number}.txt`] = text;
  }
  return files;
}

const CHANGED = { "src/7/2007.txt": "changed" };

describe("builders that share a store", () => {
  test("make each step once, where they build the same at once", async () => {
    using work = new Workspace();
    const context = work.context({ Dockerfile: "FROM busybox\nRUN sleep 1; echo 1 >/one\nRUN echo 2 >/two\n" });
    const outcomes = await Promise.all([1, 2, 3].map(() => work.build(["--progress=plain", context])));
    expect(
      outcomes
        .map(({ stderr }) => stderr)
        .join("\n")
        .match(/CACHED/g),
    ).toHaveLength(4);
    expect(new Set(outcomes.map(({ stdout }) => stdout)).size).toBe(1);
  });
});

describe("a cache server", () => {
  const root = mkdtempSync(join(tmpdir(), "varve-e2e-cache-"));
  let server: RunningCacheServer;
  let registry: RunningRegistry;

  beforeAll(async () => {
    server = await startCacheServer({ data: join(root, "data") });
    registry = await startRegistry();
  });
  afterAll(async () => {
    await server.stop();
    await registry.stop();
    rmSync(root, { recursive: true, force: true });
  });

  const FILES = {
    Dockerfile: [
      "FROM busybox AS tools",
      "RUN mkdir /opt && echo tool >/opt/tool",
      "FROM busybox",
      "WORKDIR /app",
      "COPY --from=tools /opt/tool tool",
      "RUN dd if=/dev/urandom of=/random bs=1M count=2 2>/dev/null",
      "COPY a.txt .",
    ].join("\n"),
    "a.txt": "a\n",
  };

  test("lets a second machine build without running a step or moving a layer", async () => {
    using first = new Workspace();
    using second = new Workspace();
    const tag = `${registry.host}/team/app`;
    const made = await buildOn(first, ["--cache", server.url, "--push", "-t", `${tag}:1`, first.context(FILES)]);
    expect(made.result).toMatchObject({ ran: 5, cached: 0, cache: { remote: 0, faults: 0 } });
    const found = await buildOn(second, ["--cache", server.url, "--push", "-t", `${tag}:2`, second.context(FILES)]);
    expect(found.result).toMatchObject({ id: made.result.id, ran: 0, cached: 5, cache: { remote: 5, faults: 0 } });
    expect(found.result.cache?.transfers).toMatchObject({ received: 0, sent: 0 });
    expect(typesOf(found.lines, "transfer")).toEqual([]);
    const builds = (await (await fetch(`${server.url}/varve/v1/builds`)).json()) as {
      readonly builds: readonly object[];
    };
    expect(builds.builds[0]).toMatchObject({
      project: "team/app",
      outcome: "built",
      counts: { "hit-remote": 5 },
      timeSaved: found.result.cache?.timeSaved,
    });
    expect(typesOf(found.lines, "step-cached").map(({ source }) => source)).toEqual(Array(5).fill("remote"));
  });

  test("gives the layers where they are asked for, all verified, and later builds need it for other stages only", async () => {
    using first = new Workspace();
    using second = new Workspace();
    const archive = second.file("app.tar");
    const made = await buildOn(first, ["--cache", server.url, ...NOWHERE, first.context(FILES)]);
    const context = second.context(FILES);
    const found = await buildOn(second, ["--cache", server.url, "-o", `type=oci,dest=${archive}`, context]);
    expect(found.result).toMatchObject({ id: made.result.id, ran: 0 });
    expect(found.result.cache?.transfers.received).toBeGreaterThan(2_000_000);
    execFileSync("skopeo", ["copy", "-q", `oci-archive:${archive}`, `dir:${second.file("copied")}`]);
    await buildOn(second, ["--cache", server.url, context]);
    const alone = await buildOn(second, [context]);
    expect(alone.result).toMatchObject({ id: made.result.id, ran: 1, cached: 4 });
  });

  test("continues on the layers of others: a changed step runs on what was fetched", async () => {
    using first = new Workspace();
    using second = new Workspace();
    await buildOn(first, ["--cache", server.url, ...NOWHERE, first.context(FILES)]);
    const files = { ...FILES, Dockerfile: `${FILES.Dockerfile}\nRUN cat /app/tool /app/a.txt >/all\n` };
    const { result } = await buildOn(second, ["--cache", server.url, second.context(files)]);
    expect(result).toMatchObject({ ran: 1, cached: 5, cache: { faults: 0 } });
  });

  test("is read only where nothing is to be sent, and trusted only with the key that is named", async () => {
    using first = new Workspace();
    using second = new Workspace();
    using third = new Workspace();
    const files = { Dockerfile: "FROM busybox\nRUN echo trusted >/trusted\n" };
    const build = (work: Workspace, flags: readonly string[]): ReturnType<typeof buildOn> =>
      buildOn(work, ["--cache", server.url, ...flags, ...NOWHERE, work.context(files)]);
    expect((await build(first, ["--cache-upload=none"])).result.cache?.transfers.sent).toBe(0);
    expect((await build(second, ["--cache-upload=wait"])).result).toMatchObject({ ran: 1 });
    const answer = await fetch(`${server.url}/varve/v1/keys`);
    const { keys } = (await answer.json()) as { readonly keys: readonly { readonly publicKey: string }[] };
    const other = Buffer.alloc(32, 7).toString("base64");
    expect((await build(third, ["--cache-upload=none", `--cache-verify-key=${other}`])).lines).toContainEqual(
      expect.objectContaining({ type: "warning", message: expect.stringContaining("without a signature") as string }),
    );
    using fourth = new Workspace();
    const { result } = await build(fourth, [`--cache-verify-key=${keys[0]?.publicKey}`]);
    expect(result).toMatchObject({ ran: 0, cache: { remote: 1, faults: 0 } });
  });

  test("is sent what was built without it, once", async () => {
    using first = new Workspace();
    using second = new Workspace();
    const files = { Dockerfile: "FROM busybox\nRUN echo before >/before\n" };
    const context = first.context(files);
    await buildOn(first, [...NOWHERE, context]);
    const sent = await buildOn(first, ["--cache", server.url, ...NOWHERE, context]);
    expect(sent.result).toMatchObject({ ran: 0, cached: 1 });
    expect(sent.result.cache?.transfers.sent).toBeGreaterThan(0);
    const again = await buildOn(first, ["--cache", server.url, ...NOWHERE, context]);
    expect(again.result.cache?.transfers.sent).toBe(0);
    const found = await buildOn(second, ["--cache", server.url, ...NOWHERE, second.context(files)]);
    expect(found.result).toMatchObject({ id: sent.result.id, ran: 0, cache: { remote: 1 } });
  });

  test("is sent and gives little after one of many files changed", async () => {
    using first = new Workspace();
    using second = new Workspace();
    const before = await buildOn(first, ["--cache", server.url, first.context(largeTree())]);
    const size = before.result.cache?.transfers.sent ?? 0;
    expect(size).toBeGreaterThan(30_000_000);
    await buildOn(second, ["--cache", server.url, second.context(largeTree())]);
    const changed = await buildOn(first, ["--cache", server.url, first.context(CHANGED)]);
    expect(changed.result.ran).toBe(1);
    expect(changed.result.cache?.transfers.sent).toBeLessThan(size * 0.12);
    const third = await buildOn(second, ["--cache", server.url, second.context(CHANGED)]);
    expect(third.result).toMatchObject({ ran: 0, id: changed.result.id });
    expect(third.result.cache?.transfers.received).toBeLessThan(size * 0.12);
    expect(third.result.cache?.transfers.receiveSaved).toBeGreaterThan(size * 0.85);
  });

  test("carries cache mounts that are named from machine to machine, last writer wins", async () => {
    const run =
      'RUN --mount=type=cache,id=npm,target=/npm --mount=type=cache,id=other,target=/other echo "$(cat /npm/log /other/log 2>/dev/null | tr -d "\\n")" >/seen; echo $N >>/npm/log; echo o >>/other/log; cat /seen';
    const seenOn = async (work: Workspace, number: string, flags: readonly string[]): Promise<string> => {
      const context = work.context({ Dockerfile: `FROM busybox\nARG N\n${run}\n` });
      const args = ["--progress=plain", "--cache", server.url, "--build-arg", `N=${number}`, ...NOWHERE, ...flags];
      return /^#\d+ \d\.\d+ (\S*)$/m.exec((await work.build([...args, context])).stderr)?.[1] ?? "";
    };
    using first = new Workspace();
    using second = new Workspace();
    const flags = ["--cache-mounts", "npm"];
    expect(await seenOn(first, "1", flags)).toBe("");
    expect(await seenOn(second, "2", flags)).toBe("1");
    expect(await seenOn(first, "3", flags)).toBe("1o");
    using third = new Workspace();
    expect(await seenOn(third, "4", flags)).toBe("13");
    using fourth = new Workspace();
    expect(await seenOn(fourth, "5", [])).toBe("");
  });

  test("lets one of many machines make each step, though some of them die", async () => {
    const steps = ["a", "b", "c"].map(
      (name) => `RUN sleep 1; echo ${name} $(cat /proc/sys/kernel/random/uuid) >/${name}`,
    );
    const Dockerfile = ["FROM busybox", ...steps].join("\n");
    const machines = Array.from({ length: 8 }, () => new Workspace());
    const args = ["build", "--progress=json", "--cache", server.url, ...(await busyboxArgs()), ...NOWHERE];
    const outcomes = await Promise.all(
      machines.map(async (work, number) =>
        runVarve([...args, work.context({ Dockerfile })], {
          env: { VARVE_STORE: work.store },
          onStart: (child) => {
            // Whoever is first to start a step of the first two machines dies in the middle of it.
            if (number < 2)
              child.stderr?.on(
                "data",
                (chunk: Buffer) =>
                  chunk.includes("step-output") ||
                  !chunk.includes('"name":"[2/4]') ||
                  !chunk.includes("step-started") ||
                  child.kill("SIGKILL"),
              );
          },
        }),
      ),
    );
    const survivors = outcomes.filter(({ code }) => code === 0);
    const lines = survivors.flatMap(({ stderr }) => stderr.split("\n").filter((line) => line.startsWith("{")));
    const events = lines.map((line) => JSON.parse(line) as Line);
    expect(survivors.length).toBeGreaterThanOrEqual(6);
    expect(typesOf(events, "step-finished").filter(({ name }) => name?.includes("RUN") === true)).toHaveLength(3);
    expect(new Set(typesOf(events, "result").map(({ id }) => id)).size).toBe(1);
    for (const work of machines) work[Symbol.dispose]();
  });
});
