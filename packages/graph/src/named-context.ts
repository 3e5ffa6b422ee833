import { familiarReference, formatPlatform, parseReference, type Platform } from "@varve/oci";

/** What `--build-context NAME=…` gives: files by the name of a context, or an image by reference. */
export type NamedContext =
  | { readonly type: "context"; readonly name: string }
  | { readonly type: "image"; readonly reference: string };

/** Names that no context can stand for. */
const RESERVED = ["scratch", "context"];

/** The context that stands for a stage or an image of that name: by `NAME::PLATFORM`, then by name alone. */
export function findNamedContext(
  contexts: ReadonlyMap<string, NamedContext>,
  name: string,
  platform: Platform,
): NamedContext | undefined {
  if (contexts.size === 0 || RESERVED.includes(name.toLowerCase())) return undefined;
  const names = [name.toLowerCase(), familiarName(name)];
  const keys = [...names.map((each) => `${each}::${formatPlatform(platform)}`), ...names];
  return keys.map((key) => contexts.get(key)).find((found) => found !== undefined);
}

/** `docker.io/library/alpine:latest` and `alpine` are one name: `alpine`. */
function familiarName(name: string): string {
  try {
    return familiarReference(parseReference(name)).replace(/:latest$/, "");
  } catch {
    return name;
  }
}
