import type { Annotations } from "@varve/executor";
import { UsageError } from "./errors.ts";

/** `[TYPE,…:]KEY` and value, as on the command line. */
export type AnnotationPairs = readonly (readonly [key: string, value: string])[];

const TYPES = ["manifest", "index", "manifest-descriptor"] as const;
type AnnotationType = (typeof TYPES)[number];

/**
 * Annotations by where they go: the manifest where no type stands before the key. A platform behind the type
 * (`manifest[linux/amd64]:…`) is not known.
 * @throws UsageError for a type that varve does not write.
 */
export function sortAnnotations(pairs: AnnotationPairs): Annotations {
  const sorted: Record<AnnotationType, Record<string, string>> = {
    manifest: {},
    index: {},
    "manifest-descriptor": {},
  };
  for (const [text, value] of pairs) {
    const { types, key } = parseKey(text);
    for (const type of types) sorted[type][key] = value;
  }
  return { manifest: sorted.manifest, index: sorted.index, manifestDescriptor: sorted["manifest-descriptor"] };
}

function parseKey(text: string): { readonly types: readonly AnnotationType[]; readonly key: string } {
  const [, list, key = text] = /^((?:manifest|index)[a-z,[\]/-]*):(.+)$/.exec(text) ?? [];
  if (list === undefined) return { types: ["manifest"], key };
  return { types: list.split(",").map((word) => parseType(word, text)), key };
}

function parseType(word: string, text: string): AnnotationType {
  const type = TYPES.find((each) => each === word);
  if (type === undefined)
    throw new UsageError(`Cannot use annotation "${text}": type "${word}" is not known; wanted ${TYPES.join(", ")}`);
  return type;
}
