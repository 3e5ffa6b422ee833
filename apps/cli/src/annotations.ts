import type { Annotations } from "@varve/executor";
import { formatPlatform, OciError, parsePlatform } from "@varve/oci";
import { UsageError } from "./errors.ts";

/** `[TYPE,…:]KEY` and value, as on the command line. */
export type AnnotationPairs = readonly (readonly [key: string, value: string])[];

const TYPES = ["manifest", "index", "manifest-descriptor", "index-descriptor"] as const;
type AnnotationType = (typeof TYPES)[number];

/** Where an annotation goes. */
interface Target {
  readonly type: AnnotationType;
  /** Of the one manifest; undefined: all. */
  readonly platform: string | undefined;
}

type Writable = Record<string, string>;

/**
 * Annotations by where they go: the manifest where no type stands before the key, one platform's manifest or descriptor
 * where it stands behind the type: `manifest[linux/amd64]:KEY`, as buildx has it.
 * @throws UsageError for a type or a platform that there is not.
 */
export function sortAnnotations(pairs: AnnotationPairs): Annotations {
  const all = createSet();
  const ofPlatform: Record<string, ReturnType<typeof createSet>> = {};
  for (const [text, value] of pairs) {
    const { targets, key } = parseKey(text);
    for (const { type, platform } of targets) {
      const set = platform === undefined ? all : (ofPlatform[platform] ??= createSet());
      set[type][key] = value;
    }
  }
  return {
    ...named(all),
    index: all.index,
    indexDescriptor: all["index-descriptor"],
    ofPlatform: Object.fromEntries(Object.entries(ofPlatform).map(([platform, set]) => [platform, named(set)])),
  };
}

function createSet(): Record<AnnotationType, Writable> {
  return { manifest: {}, index: {}, "manifest-descriptor": {}, "index-descriptor": {} };
}

function named(set: Record<AnnotationType, Writable>): Pick<Annotations, "manifest" | "manifestDescriptor"> {
  return { manifest: set.manifest, manifestDescriptor: set["manifest-descriptor"] };
}

function parseKey(text: string): { readonly targets: readonly Target[]; readonly key: string } {
  const [, list, key = text] = /^((?:manifest|index)[A-Za-z0-9_,[\]/-]*):(.+)$/.exec(text) ?? [];
  if (list === undefined) return { targets: [{ type: "manifest", platform: undefined }], key };
  return { targets: list.split(",").map((word) => parseTarget(word, text)), key };
}

function parseTarget(word: string, text: string): Target {
  const [, name = word, platform] = /^([a-z-]+)(?:\[([^\]]+)\])?$/.exec(word) ?? [];
  const invalid = (reason: string): UsageError => new UsageError(`Cannot use annotation "${text}": ${reason}`);
  const type = TYPES.find((each) => each === name);
  if (type === undefined) throw invalid(`type "${name}" is not known; wanted ${TYPES.join(", ")}`);
  if (platform === undefined) return { type, platform };
  if (type.startsWith("index")) throw invalid("an index is for all platforms; wanted no platform");
  try {
    return { type, platform: formatPlatform(parsePlatform(platform)) };
  } catch (error) {
    throw error instanceof OciError ? invalid(error.message) : error;
  }
}
