export {
  type BlobWriter,
  type ContentSource,
  type ContentStore,
  type IngestStore,
  type Target,
  type TransferOptions,
} from "./content.ts";
export { copyImage, type CopyOptions, type CopyTarget, type Mounter, type TaggedPusher } from "./copy-image.ts";
export { type Descriptor } from "./descriptor.ts";
export { createDigester, type Digest, type Digester, digestOf, hexOf, isDigest, parseDigest } from "./digest.ts";
export { encodeImageConfig, encodeIndex, encodeJson, encodeManifest, type Encoded } from "./encode.ts";
export { CodedError, OciError, type OciErrorCode } from "./errors.ts";
export {
  type ContainerConfig,
  type Healthcheck,
  type History,
  type Image,
  type ImageConfig,
  type ImageIndex,
  type Layer,
  type Manifest,
} from "./image.ts";
export { createLayout, type Layout, type LayoutOptions, openLayout, REF_NAME } from "./layout.ts";
export {
  DOCKER_MEDIA_TYPES,
  isForeignLayerMediaType,
  isIndexMediaType,
  isLayerMediaType,
  isManifestMediaType,
  layerCompression,
  MEDIA_TYPES,
  toDockerMediaType,
  toOciMediaType,
} from "./media-types.ts";
export { blobUnknown, createMemoryStore } from "./memory-store.ts";
export { parseImageConfig, parseIndex, parseManifest } from "./parse-json.ts";
export {
  formatPlatform,
  hostPlatform,
  matchPlatform,
  normalizePlatform,
  parsePlatform,
  type Platform,
} from "./platform.ts";
export { familiarReference, formatReference, parseReference, type Reference, withDefaultTag } from "./reference.ts";
export { resolveImage } from "./resolve-image.ts";
export { sha256 } from "./sha256.ts";
export { createSemaphore, type Semaphore } from "./semaphore.ts";
export { type ContentRequest, sendContent } from "./send-content.ts";
export { readChunks, readContent, streamContent, verifyContent } from "./verify-content.ts";
