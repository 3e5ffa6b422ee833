export { createNodes, createNodesV2 } from "./create-nodes.ts";
export { type ImagePluginOptions } from "./plugin-options.ts";
export { type ImageTarget } from "./image-targets.ts";
