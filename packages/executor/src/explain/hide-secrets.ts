import type { Ingredients } from "@varve/cache-key";
import { soundsSecret } from "@varve/dockerfile";
import { digestOf } from "@varve/oci";

const VARIABLE = "definition.env.";
const SHOWN = 19;

/**
 * Ingredients without what should not be read: of variables whose names sound like secrets a part of the value's
 * digest remains, enough to tell that it changed; of URLs the user and password go.
 */
export function hideSecrets(ingredients: Ingredients): Ingredients {
  const hidden = Object.entries(ingredients).map(([name, value]) => [
    name,
    name.startsWith(VARIABLE) ? hideValue(name.slice(VARIABLE.length), value) : hideUserinfo(value),
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
