import { createMemoryMemo } from "@varve/cache";
import { type Digest, digestOf } from "@varve/oci";
import { describe, expect, test } from "vitest";
import type { FileList } from "../../src/explain/file-list.ts";
import { loadFileList, loadLast, loadLineage, saveLineage } from "../../src/explain/lineage.ts";
import { copy, note } from "./notes.ts";

const name = digestOf(Buffer.from("lineage"));
const list = (path: string): FileList => ({ paths: [path], facts: Buffer.alloc(10) });
const digest = (text: string): Digest => digestOf(Buffer.from(text));

async function save(memo: ReturnType<typeof createMemoryMemo>, content: string): Promise<void> {
  const lineage = await loadLineage(memo, name);
  const files = new Map([[digest(content), () => list(content)]]);
  await saveLineage(memo, name, { lineage, build: [note("RUN x"), copy("src", content)], last: content, files });
}

describe("a lineage", () => {
  test("keeps six builds, the newest first, a repeated one once, and the files of each", async () => {
    const memo = createMemoryMemo();
    for (const content of ["1", "2", "3", "4", "5", "6", "7", "3"]) await save(memo, content);
    const { builds, slots } = await loadLineage(memo, name);
    expect(builds.map((build) => build[1])).toEqual(["3", "7", "6", "5", "4", "2"].map((each) => copy("src", each)));
    expect(await loadFileList(memo, name, { slots, digest: digest("4") })).toEqual(list("4"));
    expect(await loadFileList(memo, name, { slots, digest: digest("1") })).toBeUndefined();
    expect(await loadLast(memo, name)).toBe("3");
  });

  test("keeps all keys of builds that saw the same", async () => {
    const memo = createMemoryMemo();
    const [cheap, precise] = [digest("cheap"), digest("precise")];
    for (const keys of [[cheap, precise], [cheap]]) {
      const build = [note("RUN x", { keys })];
      await saveLineage(memo, name, { lineage: await loadLineage(memo, name), build, last: "", files: new Map() });
    }
    expect((await loadLineage(memo, name)).builds).toEqual([[note("RUN x", { keys: [cheap, precise] })]]);
  });

  test("writes no more places than 64, however many inputs builds have", async () => {
    const memo = createMemoryMemo();
    const keys = new Set<string>();
    const counted: typeof memo = {
      ...memo,
      put: (namespace, key, value) => (keys.add(`${namespace}/${key}`), memo.put(namespace, key, value)),
    };
    for (const round of ["a", "b", "c"]) {
      const contents = Array.from({ length: 50 }, (_, n) => `${round}${n}`);
      const files = new Map(contents.map((each) => [digest(each), () => list(each)] as const));
      const build = contents.map((each) => copy(each, each));
      await saveLineage(counted, name, { lineage: await loadLineage(memo, name), build, last: round, files });
    }
    expect(keys.size).toBe(64 + 2);
    const { slots } = await loadLineage(memo, name);
    expect(await loadFileList(memo, name, { slots, digest: digest("c49") })).toEqual(list("c49"));
  });

  test("begins anew where what was kept is damaged, and knows a list that was written over", async () => {
    const memo = createMemoryMemo();
    await save(memo, "1");
    const { slots } = await loadLineage(memo, name);
    await save(memo, "2");
    const other = slots.map((held) => (held === digest("1") ? digest("other") : held));
    expect(await loadFileList(memo, name, { slots: other, digest: digest("other") })).toBeUndefined();
    await memo.put("lineage/1", name.slice("sha256:".length), Buffer.from("damaged"));
    expect(await loadLineage(memo, name)).toEqual({ builds: [], slots: [] });
  });
});
