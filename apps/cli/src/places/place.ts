import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { CodedError, type Digest, isDigest, parseReference, type Reference, withDefaultTag } from "@varve/oci";
import { UsageError } from "../errors.ts";

/** Where an image is or goes: containers-transports(5), with the words that skopeo and buildx have for it. */
export type Place =
  /** A name or an image ID: in the store, else at its registry. */
  | { readonly transport: "name"; readonly text: string }
  /** The same, in the store alone. */
  | { readonly transport: "varve"; readonly text: string }
  | { readonly transport: "docker"; readonly reference: Reference }
  | { readonly transport: "docker-daemon"; readonly text: string }
  | {
      readonly transport: "oci";
      readonly path: string;
      readonly tag: string | undefined;
      readonly digest: Digest | undefined;
    }
  | {
      readonly transport: "oci-archive" | "docker-archive";
      readonly path: string;
      /** Of the image in the archive. */
      readonly name: string | undefined;
    };

const PREFIXES =
  /^(?:(docker-image:\/\/)|(varve:)|(docker:\/\/)|(docker-daemon:)|(oci-layout:\/\/|oci:)|(oci-archive:(?:\/\/)?)|(docker-archive:(?:\/\/)?))(.*)$/s;

/** True for a text that names a place other than a directory of files. */
export function isPlace(text: string): boolean {
  return PREFIXES.test(text);
}

/**
 * `REFERENCE`, `IMAGE-ID`, `varve:REFERENCE`, `docker://REFERENCE`, `docker-daemon:REFERENCE`, `oci:PATH[:TAG]`,
 * `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:REFERENCE]`; buildx's `docker-image://REFERENCE` and
 * `oci-layout://PATH[:TAG|@DIGEST]`.
 * @throws UsageError
 */
export function parsePlace(text: string): Place {
  const [, image, varve, docker, daemon, oci, ociArchive, dockerArchive, rest = text] = PREFIXES.exec(text) ?? [];
  if (rest === "") throw new UsageError(`Cannot use image "${text}": it names nothing`, FORMS);
  if (varve !== undefined) return { transport: "varve", text: rest };
  if (docker !== undefined) return { transport: "docker", reference: referenceOf(rest) };
  if (daemon !== undefined) return { transport: "docker-daemon", text: rest };
  if (oci !== undefined) return parseLayout(rest);
  if (ociArchive !== undefined) return { transport: "oci-archive", ...splitPath(rest) };
  if (dockerArchive !== undefined) return { transport: "docker-archive", ...splitPath(rest) };
  return { transport: "name", text: image === undefined ? text : rest };
}

const FORMS =
  "Write NAME[:TAG], docker://NAME[:TAG], oci:PATH[:TAG], oci-archive:FILE, docker-archive:FILE, docker-daemon:NAME or varve:NAME";

/** A name with its tag, `latest` where it has none. @throws UsageError */
export function referenceOf(text: string): Reference {
  try {
    return withDefaultTag(parseReference(text));
  } catch (error) {
    throw error instanceof CodedError ? new UsageError(error.message, error.hint) : error;
  }
}

function parseLayout(text: string): Place {
  const at = text.lastIndexOf("@");
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && isDigest(digest))
    return { transport: "oci", path: resolve(text.slice(0, at)), tag: undefined, digest };
  const { path, name } = splitPath(text);
  return { transport: "oci", path, tag: name, digest: undefined };
}

/** `PATH[:NAME]`: the first colon behind which a name can begin, for what stands before it exists; else the first. */
function splitPath(text: string): { readonly path: string; readonly name: string | undefined } {
  const whole = resolve(text);
  if (existsSync(whole)) return { path: whole, name: undefined };
  const colons = Array.from(text.matchAll(/:/g), ({ index }) => index).filter((index) => index > 0);
  const colon = colons.find((index) => existsSync(resolve(text.slice(0, index)))) ?? colons[0];
  if (colon === undefined) return { path: whole, name: undefined };
  const name = text.slice(colon + 1);
  return { path: resolve(text.slice(0, colon)), name: name === "" ? undefined : name };
}
