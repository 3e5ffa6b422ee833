import { existsSync, mkdtempSync } from "node:fs";
import { join } from "node:path";
import { stackTrees } from "@varve/layer";
import { expect, test } from "vitest";
import { createRunPlaces, groundFor } from "../src/run-places.ts";
import { makeBase } from "./snapshot/layers.ts";
import { temporary } from "./run/sandbox.ts";

test("a place is one step's at a time, and the next step's when it is left", async () => {
  const root = temporary();
  const places = createRunPlaces({ makeTemporaryDirectory: async () => mkdtempSync(join(root, "place-")) });
  const [first, second] = [await places.take(), await places.take()];
  expect(first.snapshot).not.toBe(second.snapshot);
  places.leave(second);
  expect(await places.take()).toBe(second);
  expect((await places.take()).snapshot).not.toBe(first.snapshot);
});

test("groundFor() gives mount points beneath an image that has the directory for them", async () => {
  const root = temporary();
  const place = await createRunPlaces({ makeTemporaryDirectory: async () => root }).take();
  const [withEtc, withLink] = [await makeBase(["mkdir etc"], "none"), await makeBase(["ln -s x etc"], "none")];
  const ground = groundFor(place, withEtc.tree);
  expect(["hosts", "resolv.conf"].map((name) => existsSync(join(ground ?? "", "etc", name)))).toEqual([true, true]);
  expect([groundFor(place, withLink.tree), groundFor(place, stackTrees([]))]).toEqual([undefined, undefined]);
});
