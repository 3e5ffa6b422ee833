/** Changes a base image for tests and benchmarks. */
import { digestOf, encodeImageConfig, encodeManifest, openLayout } from "@varve/oci";

/** Gives the image `latest` of the layout at `path` one more layer, which holds the empty file `file`. */
export async function addLayer(path: string, file: string): Promise<void> {
  const layout = await openLayout(path);
  const found = await layout.resolve("latest");
  if (found === undefined) throw new Error(`No tag "latest" in ${path}`);
  const read = async (descriptor: Parameters<typeof layout.fetch>[0]): Promise<Record<string, unknown>> => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of layout.fetch(descriptor)) chunks.push(chunk as Uint8Array);
    return JSON.parse(Buffer.concat(chunks).toString("utf8")) as Record<string, unknown>;
  };
  const manifest = (await read(found)) as unknown as Parameters<typeof encodeManifest>[0];
  const config = (await read(manifest.config)) as unknown as Parameters<typeof encodeImageConfig>[0];
  const layer = emptyFileLayer(file);
  const descriptor = {
    mediaType: "application/vnd.oci.image.layer.v1.tar",
    digest: digestOf(layer),
    size: layer.length,
  };
  const encodedConfig = encodeImageConfig({
    ...config,
    rootfs: { type: "layers", diff_ids: [...config.rootfs.diff_ids, digestOf(layer)] },
  });
  const encoded = encodeManifest({
    ...manifest,
    config: encodedConfig.descriptor,
    layers: [...manifest.layers, descriptor],
  });
  for (const [each, bytes] of [
    [descriptor, layer],
    [encodedConfig.descriptor, encodedConfig.bytes],
    [encoded.descriptor, encoded.bytes],
  ] as const)
    await layout.push(each, chunk(bytes));
  await layout.tag(encoded.descriptor, "latest");
}

async function* chunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** A tar of one empty file: POSIX.1-2024, pax, "ustar Interchange Format". */
function emptyFileLayer(path: string): Buffer {
  const block = Buffer.alloc(3 * 512);
  const fields: readonly (readonly [number, string])[] = [
    [0, path],
    [100, "0000644\0"],
    [108, "0000000\0"],
    [116, "0000000\0"],
    [124, "00000000000\0"],
    [136, "00000000000\0"],
    [148, "        "],
    [156, "0"],
    [257, "ustar\u000000"],
  ];
  for (const [at, text] of fields) block.write(text, at, "latin1");
  const sum = block.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}
