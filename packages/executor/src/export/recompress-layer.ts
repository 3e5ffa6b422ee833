import { Readable, type Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createGzip, createZstdCompress } from "node:zlib";
import { decompress } from "@varve/layer";
import {
  type ContentSource,
  createDigester,
  type Descriptor,
  type IngestStore,
  type Layer,
  MEDIA_TYPES,
  OciError,
} from "@varve/oci";
import type { Compression } from "../session.ts";

export interface RecompressOptions {
  /** Where the layer is. */
  readonly content: ContentSource;
  /** Where it goes. */
  readonly store: IngestStore;
  readonly compression: Compression;
  readonly signal: AbortSignal;
}

const DEFAULT_LEVELS = { gzip: 6, zstd: 3, none: 0 } as const;

/**
 * The same tar in another compression: the diff ID stays, so a base's layers are recognised where they were pulled
 * before.
 * @throws OciError `DIGEST_MISMATCH` where the tar is not the one of the diff ID; LayerError `ARCHIVE_CORRUPT`.
 */
export async function recompressLayer({ descriptor, diffId }: Layer, options: RecompressOptions): Promise<Layer> {
  const { content, store, compression, signal } = options;
  const digester = createDigester();
  async function* tar(): AsyncGenerator<Buffer> {
    const source = content.fetch(descriptor, { signal }) as AsyncIterable<Uint8Array>;
    for await (const chunk of decompress(source, { signal })) {
      digester.update(chunk);
      yield chunk;
    }
  }
  const writer = await store.openWriter();
  try {
    const sink = async (chunks: AsyncIterable<Uint8Array>): Promise<void> => {
      for await (const chunk of chunks) await writer.write(chunk);
    };
    const source = Readable.from(tar(), { objectMode: false });
    const codec = createCodec(compression);
    if (codec === undefined) await pipeline(source, sink, { signal });
    else await pipeline(source, codec, sink, { signal });
    const found = digester.digest();
    if (found !== diffId) throw mismatch(descriptor, diffId, found);
    return { descriptor: { ...typeOf(compression), ...(await writer.commit()) }, diffId };
  } finally {
    await writer.abort();
  }
}

function createCodec({ type, level = DEFAULT_LEVELS[type] }: Compression): Transform | undefined {
  switch (type) {
    case "gzip":
      return createGzip({ level });
    case "zstd":
      return createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: level } });
    case "none":
      return undefined;
    default:
      return type satisfies never;
  }
}

function typeOf({ type }: Compression): { readonly mediaType: string } {
  const types = { gzip: MEDIA_TYPES.layerGzip, zstd: MEDIA_TYPES.layerZstd, none: MEDIA_TYPES.layer };
  return { mediaType: types[type] };
}

function mismatch({ digest }: Descriptor, wanted: string, found: string): OciError {
  return new OciError(
    "DIGEST_MISMATCH",
    `Cannot compress layer "${digest}" again: its tar has the digest ${found}; wanted ${wanted}`,
  );
}
