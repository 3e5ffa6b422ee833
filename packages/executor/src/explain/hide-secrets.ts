import type { Ingredients } from "@varve/cache-key";
import { soundsSecret } from "@varve/dockerfile";
import { digestOf } from "@varve/oci";

const VARIABLE = "definition.env.";
const SHOWN = 19;

/**
 * Ingredients without what should not be read: of variables whose names sound like secrets a part of the value's
 * digest remains, enough to tell that it changed; of URLs the user and password go, and the query is a digest too, as
 * variables may stand in it.
 */
export function hideSecrets(ingredients: Ingredients): Ingredients {
  const hidden = Object.entries(ingredients).map(([name, value]) => [
    name,
    name.startsWith(VARIABLE) ? hideValue(name.slice(VARIABLE.length), value) : hideQuery(hideUserinfo(value)),
  ]);
  return Object.fromEntries(hidden) as Ingredients;
}

/** A variable's value, or where its name sounds like a secret: `hidden sha256:…`. */
export function hideValue(name: string, value: string): string {
  return soundsSecret(name) ? `hidden ${digestOf(Buffer.from(value)).slice(0, SHOWN)}` : hideUserinfo(value);
}

/** `https://user:password@host` as `https://host`. */
export function hideUserinfo(text: string): string {
  return text.replaceAll(/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/@"']+@/gi, "$1");
}

/** `https://host/path?query` with a part of the query's digest in its place. */
export function hideQuery(text: string): string {
  return text.replaceAll(
    /(\b[a-z][a-z0-9+.-]*:\/\/[^\s?"']+\?)([^\s"'\\]+)/gi,
    (_, url: string, query: string) => `${url}${digestOf(Buffer.from(query)).slice(0, SHOWN)}`,
  );
}
