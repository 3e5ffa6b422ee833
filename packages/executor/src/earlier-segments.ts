import { stepDigest } from "@varve/cache-key";
import { stepDefinition } from "@varve/graph";
import type { EarlierSegment, PackedLayer, Segment, SegmentReuse } from "@varve/layer";
import { type Digest, digestOf } from "@varve/oci";
import type { LayerStep } from "./resolve.ts";
import type { BuildOptions, Compression } from "./session.ts";

/** What is remembered of a blob: where its segments are, and what their bytes are verified by. */
interface EarlierBlob {
  readonly blob: Digest;
  /** Of the first segment. */
  readonly offset: number;
  /** Tar digest, digest of the compressed bytes, tar length, compressed length; in the order of the blob. */
  readonly segments: readonly (readonly [Digest, Digest, number, number])[];
}

const NAMESPACE = "segments/2";
/** Blobs below this are compressed again sooner than looked up: bytes. */
const SMALLEST = 1024 * 1024;

type Options = Pick<BuildOptions, "store" | "compression">;

/** What stays of a step when its inputs and what is beneath it change: its words, and where its context is. */
export function lineageOf(step: LayerStep, { contexts }: Pick<BuildOptions, "contexts">): Digest {
  const context = digestOf(Buffer.from(contexts.get("")?.path ?? ""));
  return stepDigest({ definition: stepDefinition(step), inputs: [context] });
}

/** The segments of the last blob of this lineage, where it is still in the store; made at the same compression. */
export async function openEarlierSegments(lineage: Digest, options: Options): Promise<SegmentReuse | undefined> {
  const { store, compression } = options;
  if (compression.type === "none") return undefined;
  const value = await store.memo.get(NAMESPACE, keyOf(lineage, compression));
  const earlier = value === undefined ? undefined : (JSON.parse(Buffer.from(value).toString("utf8")) as EarlierBlob);
  const path = earlier === undefined ? undefined : store.blobPath(earlier.blob);
  if (earlier === undefined || path === undefined) return undefined;
  const byLength = Map.groupBy(segmentsOf(earlier, path), ({ tarLength }) => tarLength);
  return { candidates: (tarLength) => byLength.get(tarLength) ?? [] };
}

/** Lets the next layer of this lineage use the segments of this one. */
export async function rememberSegments(lineage: Digest, packed: PackedLayer, options: Options): Promise<void> {
  const { store, compression } = options;
  const { segments } = packed;
  const { descriptor } = packed.layer;
  if (compression.type === "none" || descriptor.size < SMALLEST) return;
  const earlier: EarlierBlob = {
    blob: descriptor.digest,
    offset: segments[0]?.offset ?? 0,
    segments: segments.map((segment, position) => describe(segment, packed.segmentDigests[position])),
  };
  await store.memo.put(NAMESPACE, keyOf(lineage, compression), Buffer.from(JSON.stringify(earlier)));
}

function describe(
  { tarDigest, tarLength, length }: Segment,
  digest: Digest | undefined,
): EarlierBlob["segments"][number] {
  if (digest === undefined) throw new Error(`Segment "${tarDigest}" has no digest`);
  return [tarDigest, digest, tarLength, length];
}

function keyOf(lineage: Digest, { type, level }: Compression): string {
  return `${type}-${level ?? "default"}/${lineage}`;
}

function* segmentsOf(
  { offset: first, segments }: EarlierBlob,
  path: string,
): Generator<EarlierSegment & Pick<Segment, "tarLength">> {
  let offset = first;
  for (const [tarDigest, digest, tarLength, length] of segments) {
    yield { tarDigest, digest, path, tarLength, offset, length };
    offset += length;
  }
}
