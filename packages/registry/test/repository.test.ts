import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  copyImage,
  createMemoryStore,
  type Descriptor,
  openLayout,
  parseManifest,
  parseReference,
  readContent,
} from "@varve/oci";
import {
  describeContentStore,
  describeTarget,
  inChunks,
  randomBlob,
  randomImage,
  randomIndex,
  validateImage,
} from "@varve/oci/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningRegistry, startRegistry } from "../../../tools/registry.ts";
import { openRepository, type Repository } from "../src/index.ts";
import { authOf, useCredentials } from "./config-directory.ts";

const open = async (): Promise<{ readonly store: Repository; close(): Promise<void> }> => {
  const registry = await startRegistry();
  return { store: openRepository(parseReference(`${registry.host}/some/repository`)), close: () => registry.stop() };
};
describeContentStore("openRepository()", open);
describeTarget("openRepository()", open);

function skopeo(...words: readonly string[]): string {
  return execFileSync("skopeo", words, { encoding: "utf8" });
}

function withoutPlatform({ platform: _, ...descriptor }: Descriptor): Descriptor {
  return descriptor;
}

describe("against Debian's docker-registry", () => {
  let registry: RunningRegistry;
  beforeAll(async () => {
    registry = await startRegistry();
  });
  afterAll(() => registry.stop());
  const openNamed = (name: string): Repository => openRepository(parseReference(`${registry.host}/${name}`));

  test("resolve() finds by tag and by digest, and tells what is absent", async () => {
    const repository = openNamed("resolve");
    expect(await repository.resolve("latest")).toBeUndefined();
    const source = createMemoryStore();
    const image = await randomImage(source);
    const index = await randomIndex(source, [image]);
    await copyImage(source, repository, { descriptor: index, tag: "latest" });
    expect(await repository.resolve("latest")).toEqual(index);
    expect(await repository.resolve(image.digest)).toEqual(withoutPlatform(image));
    expect(await repository.resolve(randomBlob(1).descriptor.digest)).toBeUndefined();
  });

  test("tags() lists all tags", async () => {
    const repository = openNamed("tags");
    const image = await randomImage(repository);
    for (const tag of ["b", "a", "v1.0_x-y"]) await repository.tag(image, tag);
    expect((await repository.tags()).toSorted()).toEqual(["a", "b", "v1.0_x-y"]);
    await expect(openNamed("nothing").tags()).rejects.toMatchObject({ code: "NAME_UNKNOWN", status: 404 });
  });

  test("mount() takes a blob over from another repository, and push() sends what can't be", async () => {
    const [from, to] = [openNamed("mount/from"), openNamed("mount/to")];
    const image = await randomImage(from);
    const { layers, config } = parseManifest(await readContent(from, image));
    const moved: string[] = [];
    await copyImage(from, to, {
      descriptor: image,
      mountFrom: ({ digest }) => (digest === config.digest ? ["mount/absent"] : ["mount/absent", "mount/from"]),
      onProgress: ({ digest }) => moved.push(digest),
    });
    expect(await validateImage(to, image)).toHaveLength(1);
    expect(new Set(moved)).toEqual(new Set([config.digest, image.digest]));
    expect(layers).toHaveLength(2);
  });

  test("a manifest that names absent blobs is refused in the specification's words", async () => {
    const source = createMemoryStore();
    const image = await randomImage(source);
    const bytes = await readContent(source, image);
    await expect(openNamed("absent").push(image, inChunks(bytes))).rejects.toMatchObject({
      code: expect.stringMatching(/^(MANIFEST_BLOB_UNKNOWN|MANIFEST_INVALID|BLOB_UNKNOWN)$/) as string,
      retryable: false,
    });
  });

  test("a large layer goes up and comes down whole", async () => {
    const repository = openNamed("large");
    const source = createMemoryStore();
    const image = await randomImage(source, { size: 24 * 1024 * 1024, layers: 1, compression: "none" });
    await copyImage(source, repository, { descriptor: image, tag: "large" });
    expect(await validateImage(repository, image)).toHaveLength(1);
  });

  test("skopeo reads what was pushed, and what skopeo pushed is read", async () => {
    const repository = openNamed("skopeo");
    const source = createMemoryStore();
    const image = await randomImage(source, { layers: 3 });
    await copyImage(source, repository, { descriptor: image, tag: "ours" });
    const name = `docker://${registry.host}/skopeo`;
    expect(JSON.parse(skopeo("inspect", "--tls-verify=false", `${name}:ours`))).toMatchObject({ Digest: image.digest });
    const directory = mkdtempSync(join(tmpdir(), "varve-skopeo-"));
    try {
      skopeo("copy", "--quiet", "--src-tls-verify=false", `${name}:ours`, `oci:${directory}:copied`);
      const layout = await openLayout(directory);
      expect((await layout.resolve("copied"))?.digest).toBe(image.digest);
      skopeo(
        "copy",
        "--quiet",
        "--dest-tls-verify=false",
        "--format=v2s2",
        `oci:${directory}:copied`,
        `${name}:theirs`,
      );
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
    const theirs = await repository.resolve("theirs");
    expect(theirs?.mediaType).toBe("application/vnd.docker.distribution.manifest.v2+json");
    expect(await validateImage(repository, theirs ?? image)).toMatchObject([{ layers: { length: 3 } }]);
  });
});

describe("against a docker-registry with users", () => {
  let registry: RunningRegistry;
  beforeAll(async () => {
    registry = await startRegistry({ auth: { user: "user", password: "good" } });
  });
  afterAll(() => registry.stop());

  test("credentials from config.json open it", async () => {
    useCredentials({ auths: { [registry.host]: authOf("user", "good") } });
    const repository = openRepository(parseReference(`${registry.host}/private`));
    const source = createMemoryStore();
    const image = await randomImage(source);
    await copyImage(source, repository, { descriptor: image, tag: "v1" });
    expect(await validateImage(openRepository(parseReference(`${registry.host}/private`)), image)).toHaveLength(1);
  });

  test("wrong credentials are refused, with the file that they come from", async () => {
    const { directory } = useCredentials({ auths: { [registry.host]: authOf("user", "wrong") } });
    await expect(openRepository(parseReference(`${registry.host}/private`)).resolve("v1")).rejects.toMatchObject({
      code: "UNAUTHORIZED",
      status: 401,
      message: expect.stringContaining(`the credentials from ${directory}/config.json were refused`) as string,
    });
  });

  test("no credentials are refused, with what to do", async () => {
    useCredentials(undefined);
    const { descriptor, bytes } = randomBlob(10);
    const repository = openRepository(parseReference(`${registry.host}/private`));
    await expect(repository.push(descriptor, inChunks(bytes))).rejects.toMatchObject({
      code: "UNAUTHORIZED",
      hint: `Log in with docker login ${registry.host}`,
    });
  });
});
