export { describeContentStore, describeIngestStore, describeTarget, type Opened } from "./testing/describe-store.ts";
export { randomImage, type RandomImageOptions, randomIndex } from "./testing/random-image.ts";
export { bytesOf, descriptorOf, inChunks, inOneBuffer, pushBytes, randomBlob } from "./testing/blobs.ts";
export { validateImage } from "./testing/validate-image.ts";
