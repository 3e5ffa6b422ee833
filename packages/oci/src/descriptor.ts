import type { Digest } from "./digest.ts";
import type { Platform } from "./platform.ts";

/** Names content by media type, digest and size in bytes. Image spec, descriptor.md. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: Platform;
  readonly artifactType?: string;
}
