/** `sha256:` and 64 lower-case hex digits. Image spec, descriptor.md, "Digests". */
export type Digest = `sha256:${string}`;
