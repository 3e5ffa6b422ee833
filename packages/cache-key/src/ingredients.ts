import { type Digest, digestOf } from "@varve/oci";
import { canonicalJson, type Json } from "./canonical-json.ts";
import type { StepDescription } from "./cache-key.ts";

/**
 * A key's parts by name. Names: `definition.…` as a path, in which a variable of an `env` list is a member by its name;
 * `input.N`; `parent`.
 */
export type Ingredients = Readonly<Record<string, string>>;

/** Longer values are cut and end in a part of their digest: ingredients explain, they do not decide. Characters. */
const MAX_VALUE = 512;
const SHORT_DIGEST = 19;

/** The parts of a key, flat and small, as a record keeps them. */
export function ingredientsOf({
  definition,
  inputs,
  parent,
}: StepDescription & { readonly parent: Digest | undefined }): Ingredients {
  const parts = new Map<string, string>();
  flatten("definition", definition, parts);
  for (const [position, input] of inputs.entries()) parts.set(`input.${position}`, input);
  parts.set("parent", parent ?? "none");
  return Object.fromEntries(parts);
}

function flatten(name: string, value: Json, parts: Map<string, string>): void {
  if (name === "definition.env" && isTextList(value)) {
    for (const pair of value) parts.set(`${name}.${pair.split("=", 1)[0]}`, shorten(pair.slice(pair.indexOf("=") + 1)));
    return;
  }
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    for (const [member, each] of Object.entries(value)) flatten(`${name}.${member}`, each, parts);
    return;
  }
  parts.set(name, shorten(typeof value === "string" ? value : canonicalJson(value)));
}

function isTextList(value: Json): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}

function shorten(text: string): string {
  if (text.length <= MAX_VALUE) return text;
  return `${text.slice(0, MAX_VALUE)}… ${digestOf(Buffer.from(text)).slice(0, SHORT_DIGEST)}`;
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
