/** A process that uses a store as a build does: argument 1 the store, 2 its number, 3 "forever". */
import { randomImage } from "@varve/oci/testing";
import { openLocalStore } from "../src/index.ts";

const [, , path = "", number = "", forever] = process.argv;
const store = await openLocalStore(path);
await store.makeTemporaryDirectory("tmp");
const turns = forever === undefined ? 20 : Number.POSITIVE_INFINITY;
for (let turn = 0; turn < turns; turn += 1) {
  await store.memo.put("turns", `${number}/${turn}`, Buffer.from(String(turn)));
  const writer = await store.content.openWriter();
  await writer.write(Buffer.from(`${number} ${turn % 3}`));
  await writer.commit();
  if (turn === 5) process.send?.("working");
}
await store.content.tag(await randomImage(store.content), `image:${number}`);
await store[Symbol.asyncDispose]();
process.disconnect?.();
