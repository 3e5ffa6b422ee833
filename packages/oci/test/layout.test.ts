import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { copyImage, createLayout, createMemoryStore, openLayout, REF_NAME } from "@varve/oci";
import {
  bytesOf,
  describeContentStore,
  describeIngestStore,
  describeTarget,
  pushBytes,
  randomImage,
  randomIndex,
  validateImage,
} from "@varve/oci/testing";

const directories: string[] = [];

function makeDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), "varve-layout-"));
  directories.push(path);
  return path;
}

afterEach(() => {
  for (const path of directories.splice(0)) rmSync(path, { recursive: true, force: true });
});

const open = async () => {
  const path = mkdtempSync(join(tmpdir(), "varve-layout-"));
  return { store: await createLayout(path), close: async () => rmSync(path, { recursive: true, force: true }) };
};
describeContentStore("createLayout()", open);
describeIngestStore("createLayout()", open);
describeTarget("createLayout()", open);

test("createLayout() makes a layout that openLayout() takes, and leaves one that is there as it is", async () => {
  const path = makeDirectory();
  const layouts = await Promise.all([createLayout(path), createLayout(path), createLayout(path)]);
  expect(readdirSync(path).toSorted()).toEqual(["blobs", "index.json", "oci-layout"]);
  const image = await randomImage(layouts[0]);
  await layouts[0].tag(image, "latest");
  await createLayout(path);
  const opened = await openLayout(path);
  expect((await opened.resolve("latest"))?.digest).toBe(image.digest);
});

test.each([
  ["no oci-layout", (path: string) => rmSync(join(path, "oci-layout")), 'no file "oci-layout"'],
  ["no index.json", (path: string) => rmSync(join(path, "index.json")), 'no file "index.json"'],
  ["version 2", (path: string) => writeFileSync(join(path, "oci-layout"), '{"imageLayoutVersion":"2.0.0"}'), "not 1"],
  ["no JSON", (path: string) => writeFileSync(join(path, "oci-layout"), "1.0.0"), "not 1"],
])("openLayout() refuses a directory with %s", async (_, damage, message) => {
  const path = makeDirectory();
  await createLayout(path);
  damage(path);
  await expect(openLayout(path)).rejects.toMatchObject({
    code: "LAYOUT_INVALID",
    message: expect.stringContaining(message) as string,
  });
});

test("list() refuses a damaged index.json and says which directory it is in", async () => {
  const path = makeDirectory();
  const layout = await createLayout(path);
  writeFileSync(join(path, "index.json"), '{"schemaVersion":2,"manifests":[{}]}');
  await expect(layout.list()).rejects.toMatchObject({
    code: "LAYOUT_INVALID",
    message: expect.stringContaining(path) as string,
  });
});

test("fetch() ends with an error where a blob was damaged on disk", async () => {
  const layout = await createLayout(makeDirectory());
  const descriptor = await pushBytes(layout, Buffer.from("good"));
  writeFileSync(layout.blobPath(descriptor.digest), "evil");
  await expect(bytesOf(layout.fetch(descriptor))).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
  writeFileSync(layout.blobPath(descriptor.digest), "too long");
  expect(await layout.exists(descriptor)).toBe(false);
  await layout.push(descriptor, [Buffer.from("good")] as unknown as AsyncIterable<Uint8Array>);
  expect((await bytesOf(layout.fetch(descriptor))).toString()).toBe("good");
});

test("push() that fails leaves no file behind", async () => {
  const layout = await createLayout(makeDirectory());
  const descriptor = await pushBytes(createMemoryStore(), Buffer.from("good"));
  const evil = [Buffer.from("evil")] as unknown as AsyncIterable<Uint8Array>;
  await expect(layout.push(descriptor, evil)).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
  expect(readdirSync(join(layout.path, "blobs", "sha256"))).toEqual([]);
});

test("blobs are written into `temporary` until they are whole", async () => {
  const path = makeDirectory();
  const temporary = join(path, "tmp");
  const layout = await createLayout(path, { temporary: join(temporary, "mine-") });
  const writer = await layout.openWriter();
  await writer.write(Buffer.from("x"));
  expect(readdirSync(temporary)).toEqual([expect.stringMatching(/^mine-/)]);
  const { digest } = await writer.commit();
  expect(readdirSync(temporary)).toEqual([]);
  expect(readFileSync(layout.blobPath(digest), "utf8")).toBe("x");
});

test("a blob that is there is not written again, unless its size tells that it is damaged", async () => {
  const directory = makeDirectory();
  const layout = await createLayout(directory);
  const write = async (): Promise<string> => {
    const writer = await layout.openWriter();
    await writer.write(Buffer.from("once"));
    return layout.blobPath((await writer.commit()).digest);
  };
  const path = await write();
  const { ino } = statSync(path);
  utimesSync(path, 1, 1);
  await write();
  expect(statSync(path)).toMatchObject({ ino, size: 4 });
  expect(statSync(path).mtimeMs).toBeGreaterThan(Date.now() - 60_000);
  writeFileSync(path, "cut");
  await write();
  expect(readFileSync(path, "utf8")).toBe("once");
  expect(readdirSync(join(directory, "blobs", "sha256"))).toHaveLength(1);
});

test("tag() and untag() keep the other names, of other layout objects too, and run under `lock`", async () => {
  const path = makeDirectory();
  let locked = 0;
  const lock = async <T>(change: () => Promise<T>): Promise<T> => {
    locked += 1;
    return change();
  };
  const [one, two] = [await createLayout(path, { lock }), await createLayout(path, { lock })];
  const image = await randomImage(one);
  const tags = Array.from({ length: 10 }, (_, number) => `t${number}`);
  await Promise.all(tags.map((tag, number) => (number % 2 === 0 ? one : two).tag(image, tag)));
  expect((await one.list()).map((each) => each.annotations?.[REF_NAME]).toSorted()).toEqual(tags);
  expect(await two.untag("t3")).toBe(true);
  expect(await two.untag("t3")).toBe(false);
  expect(await one.resolve("t3")).toBeUndefined();
  expect(await one.resolve("t4")).toMatchObject({ digest: image.digest });
  expect(locked).toBe(12);
  expect(readdirSync(path).toSorted()).toEqual(["blobs", "index.json", "oci-layout"]);
});

test("resolve() prefers the reference name to containerd's image name", async () => {
  const layout = await createLayout(makeDirectory());
  const [old, current] = [await randomImage(layout), await randomImage(layout)];
  await layout.tag({ ...old, annotations: { "io.containerd.image.name": "docker.io/a/b:latest" } }, "latest");
  expect((await layout.resolve("docker.io/a/b:latest"))?.digest).toBe(old.digest);
  await layout.tag(current, "docker.io/a/b:latest");
  expect((await layout.resolve("docker.io/a/b:latest"))?.digest).toBe(current.digest);
  expect((await layout.resolve("latest"))?.digest).toBe(old.digest);
});

test("skopeo reads a layout of ours, and we read one of skopeo's", async () => {
  const [ours, theirs] = [makeDirectory(), makeDirectory()];
  const layout = await createLayout(ours);
  const image = await randomImage(layout);
  await layout.tag(image, "v1");
  const inspected = JSON.parse(execFileSync("skopeo", ["inspect", `oci:${ours}:v1`], { encoding: "utf8" })) as unknown;
  expect(inspected).toMatchObject({ Digest: image.digest });
  execFileSync("skopeo", ["copy", "--quiet", `oci:${ours}:v1`, `oci:${theirs}:v2`]);
  const read = await openLayout(theirs);
  const found = await read.resolve("v2");
  expect(found?.digest).toBe(image.digest);
  expect(await validateImage(read, found ?? image)).toHaveLength(1);
});

test("an index inside of index.json is read like any other content", async () => {
  const layout = await createLayout(makeDirectory());
  const source = createMemoryStore();
  const index = await randomIndex(source, [
    await randomImage(source),
    await randomImage(source, { compression: "none" }),
  ]);
  await copyImage(source, layout, { descriptor: index, tag: "multi" });
  const found = await (await openLayout(layout.path)).resolve("multi");
  expect(await validateImage(layout, found ?? index)).toHaveLength(2);
});

test("add() lists an image without a name once, and remove() takes it from the list with all its names", async () => {
  const layout = await createLayout(makeDirectory());
  const [named, unnamed] = [await randomImage(layout), await randomImage(layout)];
  await layout.tag(named, "a");
  await layout.tag(named, "b");
  await layout.add(named);
  await layout.add(unnamed);
  await layout.add(unnamed);
  expect((await layout.list()).map(({ digest }) => digest)).toEqual([named.digest, named.digest, unnamed.digest]);
  expect((await layout.list())[2]?.annotations).toBeUndefined();
  expect(await layout.remove(named.digest)).toBe(true);
  expect(await layout.remove(named.digest)).toBe(false);
  expect((await layout.list()).map(({ digest }) => digest)).toEqual([unnamed.digest]);
  expect(await layout.exists(named)).toBe(true);
});
