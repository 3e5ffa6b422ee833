import type { Digest } from "@varve/oci";
import { canonicalJson, type Json } from "./canonical-json.ts";
import type { StepDescription } from "./cache-key.ts";

/** A key's parts by name. Names: `definition.…` as a path, `input.N`, `parent`. */
export type Ingredients = Readonly<Record<string, string>>;

/** Longer values are cut: ingredients explain, they do not decide. Characters. */
const MAX_VALUE = 512;

/** The parts of a key, flat and small, as a record keeps them. */
export function ingredientsOf({
  definition,
  inputs,
  parent,
}: StepDescription & { readonly parent: Digest | undefined }): Ingredients {
  const parts: Record<string, string> = {};
  flatten("definition", definition, parts);
  for (const [position, input] of inputs.entries()) parts[`input.${position}`] = input;
  parts["parent"] = parent ?? "none";
  return parts;
}

function flatten(name: string, value: Json, parts: Record<string, string>): void {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    for (const [member, each] of Object.entries(value)) flatten(`${name}.${member}`, each, parts);
    return;
  }
  const text = typeof value === "string" ? value : canonicalJson(value);
  parts[name] = text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE)}…` : text;
}

/** One part in which two keys differ; undefined on the side that does not have it. */
export interface Difference {
  readonly name: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** The parts in which `after` differs from `before`, sorted by name. */
export function explainDifference(before: Ingredients, after: Ingredients): readonly Difference[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].toSorted();
  return names.flatMap((name) =>
    before[name] === after[name] ? [] : [{ name, before: before[name], after: after[name] }],
  );
}
