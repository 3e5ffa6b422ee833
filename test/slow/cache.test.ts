import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningCacheServer, startCacheServer } from "../../tools/cache-server.ts";
import { busyboxArgs, type Outcome, type ProgressLine, runVarve, Workspace } from "../e2e/varve.ts";

const CLIENTS = 50;
/** Of them, those that are killed as soon as they make a step. */
const DOOMED = 5;

describe("fifty machines that build the same cold Dockerfile at once", () => {
  const root = mkdtempSync(join(tmpdir(), "varve-slow-cache-"));
  let server: RunningCacheServer;

  beforeAll(async () => {
    server = await startCacheServer({ data: join(root, "data") });
  });
  afterAll(async () => {
    await server.stop();
    rmSync(root, { recursive: true, force: true });
  });

  /** Dies in the middle of the first step that it makes. */
  async function build(work: Workspace, context: string, isDoomed: boolean): Promise<Outcome> {
    const args = ["build", "--progress=json", "--cache", server.url, "-o", "type=image,store=false"];
    return runVarve([...args, ...(await busyboxArgs()), context], {
      env: { VARVE_STORE: work.store },
      onStart: (child) => {
        if (!isDoomed) return;
        child.stderr?.on("data", (chunk: Buffer) => {
          if (/"type":"step-started"[^\n]*RUN/.test(chunk.toString("utf8"))) child.kill("SIGKILL");
        });
      },
    });
  }

  test("run each step once in all, though builders die, and all end with the same image", async () => {
    const runs = ["a", "b", "c", "d"].map(
      (name) => `RUN sleep 2; echo ${name} $(cat /proc/sys/kernel/random/uuid) >/${name}`,
    );
    const Dockerfile = [
      "FROM busybox AS left",
      ...runs.slice(0, 2),
      "FROM busybox",
      ...runs.slice(2),
      "COPY --from=left /a /b /",
    ].join("\n");
    const machines = Array.from({ length: CLIENTS }, () => new Workspace());
    const outcomes = await Promise.all(
      machines.map((work, number) => build(work, work.context({ Dockerfile }), number < DOOMED)),
    );
    const whole = outcomes.filter(({ code }) => code === 0);
    expect(outcomes.slice(DOOMED).map(({ code }) => code)).toEqual(Array(CLIENTS - DOOMED).fill(0));
    const events = whole
      .flatMap(({ stderr }) => stderr.split("\n").filter((line) => line.startsWith("{")))
      .map((line) => JSON.parse(line) as ProgressLine & { readonly id?: string });
    const finished = events.filter(({ type, name }) => type === "step-finished" && name?.includes("RUN") === true);
    expect(finished).toHaveLength(runs.length);
    expect(new Set(events.filter(({ type }) => type === "result").map(({ id }) => id)).size).toBe(1);
    for (const work of machines) work[Symbol.dispose]();
  });
});
