import { createMemoryStore } from "@varve/oci";
import { describeContentStore, describeIngestStore, describeTarget } from "@varve/oci/testing";

const open = async () => ({ store: createMemoryStore(), close: async () => undefined });

describeContentStore("createMemoryStore()", open);
describeIngestStore("createMemoryStore()", open);
describeTarget("createMemoryStore()", open);
