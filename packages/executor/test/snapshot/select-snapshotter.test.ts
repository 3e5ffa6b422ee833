import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { mount, umount2 } from "@varve/layer";
import { expect, onTestFinished, test } from "vitest";
import { selectSnapshotter } from "../../src/snapshot/select-snapshotter.ts";
import { mountsBeneath, temporary } from "../run/sandbox.ts";

test.each([
  ["auto", "overlay", "trusted"],
  ["overlay", "overlay", "trusted"],
  ["copy", "copy", "none"],
] as const)("selectSnapshotter() gives for %s: %s, %s, and leaves nothing", async (asked, name, whiteouts) => {
  const directory = temporary();
  expect(await selectSnapshotter(asked, directory)).toMatchObject({ name, whiteouts });
  expect([readdirSync(directory), mountsBeneath(directory)]).toEqual([[], []]);
});

/** A directory on a file system that overlayfs does not take as an upper one: another overlay. */
function onOverlay(): string {
  const directory = temporary();
  for (const name of ["lower", "upper", "work", "merged"]) mkdirSync(join(directory, name));
  const options = `lowerdir=${directory}/lower,upperdir=${directory}/upper,workdir=${directory}/work`;
  mount("overlay", join(directory, "merged"), { type: "overlay", options });
  onTestFinished(() => umount2(join(directory, "merged"), 2));
  return join(directory, "merged");
}

test("selectSnapshotter() falls back to copies where overlay does not work", async () => {
  expect((await selectSnapshotter("auto", onOverlay())).name).toBe("copy");
});

test("selectSnapshotter() says why overlay does not work where it was asked for", async () => {
  const selecting = selectSnapshotter("overlay", onOverlay());
  await expect(selecting).rejects.toMatchObject({ code: "MOUNT_FAILED", message: expect.stringContaining("overlay") });
});
