import { writeSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import type { CacheCounts } from "@varve/cache";
import type { BuildResult } from "@varve/executor";
import { familiarReference, formatPlatform, formatReference, type Reference } from "@varve/oci";
import { summarizeCaches } from "./cache-summary.ts";
import type { Parsed } from "./flags.ts";
import { isStreamed, type Output } from "./outputs.ts";
import { formatBytes, formatSeconds } from "./progress/progress.ts";
import type { Written } from "./write-outputs.ts";

export interface ReportContext {
  readonly flags: Parsed;
  readonly outputs: readonly Output[];
  readonly tags: readonly Reference[];
  /** What the caches of others did; undefined where there are none. */
  readonly caches: CacheCounts | undefined;
  /** Of the whole build: milliseconds. */
  readonly duration: number;
  /** Standard error is read by a program: one JSON object a line. */
  readonly asJson: boolean;
}

/** Removes what an earlier build left at `--iidfile`, so that a build that fails leaves no ID of another image. */
export async function removeStaleFiles(flags: Parsed): Promise<void> {
  const file = flags.value("iidfile");
  if (file !== undefined) await rm(file, { force: true });
}

/** The image's ID on standard output, what was built and where it is on standard error, and the files asked for. */
export async function report(result: BuildResult, written: Written, context: ReportContext): Promise<void> {
  const { flags, outputs } = context;
  const id = imageId(written);
  const idFile = flags.value("iidfile");
  if (idFile !== undefined) await writeFile(idFile, id);
  const metadataFile = flags.value("metadata-file");
  if (metadataFile !== undefined) await writeFile(metadataFile, describeMetadata(written, context));
  const summary = context.asJson
    ? JSON.stringify(describeResult(result, written, context))
    : summarize(result, written, context);
  if (!flags.is("quiet")) process.stderr.write(`${summary}\n`);
  if (!outputs.some(isStreamed)) printLine(id);
}

/** The only thing that is written to standard output, so that no stream has to be made for it. */
function printLine(line: string): void {
  const bytes = Buffer.from(`${line}\n`);
  let written = 0;
  try {
    while (written < bytes.length) written += writeSync(1, bytes, written);
  } catch {
    // A pipe that is full, or has no reader: the stream knows what to do.
    process.stdout.write(bytes.subarray(written));
  }
}

/** As Docker has it: the digest of the config; of several images, of their index. */
function imageId({ image }: Written): string {
  const [only, ...others] = image.images;
  return only !== undefined && others.length === 0 ? only.manifest.config.digest : image.descriptor.digest;
}

/** buildx's keys. */
function describeMetadata({ image }: Written, { tags }: ReportContext): string {
  const [only, ...others] = image.images;
  const metadata = {
    ...(only === undefined || others.length > 0 ? {} : { "containerimage.config.digest": only.manifest.config.digest }),
    "containerimage.descriptor": image.descriptor,
    "containerimage.digest": image.descriptor.digest,
    ...(tags.length === 0 ? {} : { "image.name": tags.map(formatReference).join(",") }),
  };
  return `${JSON.stringify(metadata, undefined, 2)}\n`;
}

/** The last line of `--progress=json`. */
function describeResult({ counts }: BuildResult, written: Written, { tags, caches, duration }: ReportContext): object {
  const { image, places } = written;
  const { mediaType, digest, size } = image.descriptor;
  return {
    type: "result",
    id: imageId(written),
    descriptor: { mediaType, digest, size },
    names: tags.map(formatReference),
    platforms: image.images.map(({ platform }) => formatPlatform(platform)),
    places: places.map(({ where }) => where),
    ...counts,
    ...(caches === undefined ? {} : { cache: caches }),
    duration: Math.round(duration),
  };
}

function summarize(
  { counts }: BuildResult,
  { image, places }: Written,
  { tags, caches, duration }: ReportContext,
): string {
  const platforms = image.images.map(({ platform }) => formatPlatform(platform)).join(", ");
  const name = tags.map(familiarReference).join(", ") || "image";
  return [
    `built ${name} (${platforms}) in ${formatSeconds(duration)}: ${describeCounts(counts)}`,
    ...(caches === undefined ? [] : [summarizeCaches(caches)]),
    `manifest ${image.descriptor.digest}`,
    ...places.flatMap(({ where, look }) => [`in ${where}`, ...(look === undefined ? [] : [`   ${look}`])]),
  ].join("\n");
}

/** `9 steps, 7 cached (2 from remote caches), saved 41.2s and 12.3 MB`. */
function describeCounts({ steps, cached, remote, waited, savedTime, savedBytes }: BuildResult["counts"]): string {
  const sources = [
    ...(remote === 0 ? [] : [`${remote} from remote caches`]),
    ...(waited === 0 ? [] : [`${waited} from builders that were waited for`]),
  ];
  const from = sources.length === 0 ? "" : ` (${sources.join(", ")})`;
  const saved =
    savedTime + savedBytes === 0 ? "" : `, saved ${formatSeconds(savedTime)} and ${formatBytes(savedBytes)}`;
  return `${steps} steps, ${cached} cached${from}${saved}`;
}
