import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { createSemaphore } from "@varve/oci";

test.each([1, 3])("run() lets %i tasks run at once, all in the end, in order", async (places) => {
  const semaphore = createSemaphore(places);
  const begun: number[] = [];
  let running = 0;
  let most = 0;
  const task = async (number: number): Promise<number> => {
    begun.push(number);
    running += 1;
    most = Math.max(most, running);
    await setImmediate();
    running -= 1;
    if (number === 4) throw new Error("four");
    return number;
  };
  const results = await Promise.allSettled([0, 1, 2, 3, 4, 5, 6, 7].map((number) => semaphore.run(() => task(number))));
  expect(begun).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(most).toBe(places);
  expect(results.map(({ status }) => status === "fulfilled")).toEqual([
    true,
    true,
    true,
    true,
    false,
    true,
    true,
    true,
  ]);
});

test("acquire() gives a place that can be given back only once", async () => {
  const semaphore = createSemaphore(1);
  const release = await semaphore.acquire();
  let second = false;
  const waiting = semaphore.acquire().then((give) => {
    second = true;
    return give;
  });
  await setImmediate();
  expect(second).toBe(false);
  release();
  release();
  const giveBack = await waiting;
  let third = false;
  void semaphore.acquire().then(() => (third = true));
  await setImmediate();
  expect(third).toBe(false);
  giveBack();
});
