import { spawn } from "node:child_process";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { createScreen, type TestScreen } from "../../apps/cli/test/progress/screen.ts";
import { busyboxArgs, Workspace } from "./varve.ts";

const bin = join(import.meta.dirname, "..", "..", "apps", "cli", "bin", "varve.js");

interface Session {
  readonly screen: TestScreen;
  /** Writes to the terminal, as a keyboard does. */
  readonly type: (keys: string) => void;
  readonly ended: Promise<number>;
}

/** `varve build` on a terminal of its own, which util-linux's script makes. */
async function buildOnTerminal(
  work: Workspace,
  args: readonly string[],
  { columns, rows }: { readonly columns: number; readonly rows: number },
): Promise<Session> {
  const words = [process.execPath, bin, "build", ...(await busyboxArgs()), ...args].map((word) => `'${word}'`);
  const command = `stty cols ${columns} rows ${rows}; exec ${words.join(" ")}`;
  const child = spawn("script", ["-qefc", command, "/dev/null"], {
    env: { ...process.env, VARVE_STORE: work.store, TERM: "xterm-256color", NO_COLOR: "1", CI: "", GITHUB_ACTIONS: "" },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const screen = createScreen(columns, rows);
  child.stdout.setEncoding("utf8").on("data", (text: string) => screen.write(text));
  const ended = new Promise<number>((resolve) => child.once("close", (code) => resolve(code ?? -1)));
  return { screen, type: (keys) => child.stdin.write(keys), ended };
}

/** Waits until the screen shows all of `texts`. */
async function until(screen: TestScreen, texts: readonly string[]): Promise<readonly string[]> {
  for (let tries = 0; tries < 300; tries += 1) {
    const lines = await screen.visible();
    if (texts.every((text) => lines.some((line) => line.includes(text)))) return lines;
    await setTimeout(50);
  }
  throw new Error(`The screen never showed ${texts.join(", ")}:\n${(await screen.lines()).join("\n")}`);
}

const STAGES = ["deps", "test", "lint"]
  .map(
    (name) => `FROM busybox AS ${name}\nARG WAIT=0\nRUN echo ${name} 日本 && sleep $WAIT && echo ${name} > /${name}\n`,
  )
  .join("");
const Dockerfile = `${STAGES}FROM busybox\nARG FAIL\nCOPY --from=deps /deps /\nCOPY --from=test /test /\nCOPY --from=lint /lint /\nRUN echo final && test -z "$FAIL"\n`;

describe.each([
  { columns: 80, rows: 24 },
  { columns: 200, rows: 50 },
])("varve build on a terminal of $columns columns", (size) => {
  const work = new Workspace();
  const context = work.context({ Dockerfile });
  beforeAll(() => () => work[Symbol.dispose]());

  test("shows stages side by side while they run, and what is left at the end", async () => {
    const { screen, ended } = await buildOnTerminal(work, ["--build-arg", "WAIT=2", context], size);
    const live = await until(screen, [
      "[+] Building",
      "● deps 0/1   ● test 0/1   ● lint 0/1",
      "│ deps 日本",
      "│ lint 日本",
    ]);
    if (size.columns === 200) expect(live.some((line) => /\[\w+ 2\/2\] .*\[\w+ 2\/2\] /.test(line))).toBe(true);
    expect(await ended).toBe(0);
    const lines = await screen.lines();
    expect(lines.filter((line) => line.includes("Building"))).toEqual([]);
    for (const name of ["[deps 2/2]", "[test 2/2]", "[lint 2/2]", "[stage-3 5/5]"])
      expect(lines.filter((line) => line.includes(name))).toHaveLength(1);
    expect(lines.at(-4)).toContain("7 steps, 0 cached");
  });

  test("shows what was found, and why the rest ran", async () => {
    const { screen, ended } = await buildOnTerminal(
      work,
      ["--build-arg", "WAIT=2", "--build-arg", "FAIL=", context],
      size,
    );
    expect(await ended).toBe(0);
    const text = (await screen.lines()).join("\n");
    expect(text.match(/ CACHED {2}\[/g)).toHaveLength(6);
    expect(text).toContain('ARG FAIL set to ""');
    expect(text).toMatch(/7 steps, 6 cached, saved \d.*s and \d.* k?B/);
  });

  test("shows a failure, with the step's last lines and place", async () => {
    const { screen, ended } = await buildOnTerminal(
      work,
      ["--build-arg", "WAIT=2", "--build-arg", "FAIL=1", context],
      size,
    );
    expect(await ended).toBe(1);
    const lines = await screen.lines();
    expect(lines.some((line) => line.startsWith("   ERROR  [stage-3 5/5] RUN echo final"))).toBe(true);
    expect(lines.some((line) => line.includes("error COMMAND_FAILED"))).toBe(true);
    expect(lines.some((line) => line.startsWith(">>> "))).toBe(true);
    expect(lines.filter((line) => line.includes("Building"))).toEqual([]);
  });

  test("says at Ctrl-C what was running", async () => {
    const { screen, type, ended } = await buildOnTerminal(work, ["--build-arg", "WAIT=60", context], size);
    await until(screen, ["│ deps 日本", "│ test 日本"]);
    type("\u0003");
    expect(await ended).toBe(130);
    const lines = await screen.lines();
    expect(lines.filter((line) => line.startsWith(" STOPPED  ["))).toHaveLength(3);
    expect(lines.at(-1)).toContain("error CANCELLED");
  });
});
