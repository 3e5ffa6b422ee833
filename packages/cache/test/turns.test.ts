import { existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf, hexOf } from "@varve/oci";
import { afterAll, describe, expect, test } from "vitest";
import { createTurns } from "../src/turns.ts";

const root = mkdtempSync(join(tmpdir(), "varve-turns-"));
let count = 0;
const newPath = (): string => join(root, String((count += 1)));
const key = digestOf(Buffer.from("key"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe("createTurns()", () => {
  test("gives a turn to the first, and to the next one when it ended", () => {
    const path = newPath();
    const [first, second] = [createTurns(path), createTurns(path)];
    const turn = first.take(key);
    if (turn.type !== "ours") throw new Error("not ours");
    expect(turn.after).toBe(false);
    expect(second.take(key)).toEqual({ type: "theirs" });
    expect(second.isHeld(key)).toBe(true);
    turn.end();
    expect(second.isHeld(key)).toBe(false);
    expect(second.take(key)).toMatchObject({ type: "ours", after: true });
  });

  test("takes the turn of a process that is gone", () => {
    const path = newPath();
    const turns = createTurns(path);
    turns.take(key);
    writeFileSync(join(path, hexOf(key)), "999999-1");
    expect(turns.isHeld(key)).toBe(false);
    expect(turns.take(key)).toMatchObject({ type: "ours", after: true });
  });

  test("removes what ended a while ago, and nothing that is held or fresh", () => {
    const path = newPath();
    const turns = createTurns(path);
    const names = ["old", "fresh", "held"].map((name) => digestOf(Buffer.from(name)));
    for (const name of names) {
      const turn = turns.take(name);
      if (turn.type === "ours" && name !== names[2]) turn.end();
    }
    const files = names.map((name) => join(path, hexOf(name)));
    for (const file of [files[0] ?? "", files[2] ?? ""]) utimesSync(file, 1, 1);
    turns[Symbol.dispose]();
    expect(files.map((file) => existsSync(file))).toEqual([false, true, true]);
  });

  test("looks once a minute for what ended", () => {
    const path = newPath();
    const [file, swept] = [join(path, hexOf(key)), join(path, "swept")];
    const endOne = (): void => {
      using turns = createTurns(path);
      const turn = turns.take(key);
      if (turn.type === "ours") turn.end();
      utimesSync(file, 1, 1);
    };
    endOne();
    expect(existsSync(file)).toBe(false);
    endOne();
    expect(existsSync(file)).toBe(true);
    const minuteAgo = Date.now() / 1000 - 61;
    utimesSync(swept, minuteAgo, minuteAgo);
    endOne();
    expect(existsSync(file)).toBe(false);
  });
});
