/** A JSON value. Numbers must be finite, strings well-formed UTF-16. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/**
 * `value` in the one form that RFC 8785 (JSON Canonicalization Scheme) gives it: members sorted by UTF-16 code units,
 * no white space, ECMAScript's number and string forms.
 * @throws Error for a number that is not finite or a string with a lone surrogate: neither has a canonical form.
 */
export function canonicalJson(value: Json): string {
  if (typeof value === "number" && !Number.isFinite(value))
    throw new Error(`Cannot canonicalize number ${value}: it must be finite`);
  if (typeof value === "string") return canonicalString(value);
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const members = Object.keys(value)
    .toSorted()
    .map((name) => `${canonicalString(name)}:${canonicalJson(value[name] ?? null)}`);
  return `{${members.join(",")}}`;
}

function isArray(value: object): value is readonly Json[] {
  return Array.isArray(value);
}

function canonicalString(text: string): string {
  if (!text.isWellFormed())
    throw new Error(`Cannot canonicalize string ${JSON.stringify(text)}: it has a lone surrogate`);
  return JSON.stringify(text);
}
