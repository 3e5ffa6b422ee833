import { expect, test } from "vitest";
import type { BuildOptions } from "../../src/api/build-options.ts";
import { OPTIONS } from "../../src/config/options.ts";

test("BuildOptions has every option, and no other", () => {
  const keys: Readonly<Record<keyof BuildOptions, true>> = {
    addHost: true,
    allow: true,
    annotation: true,
    buildArg: true,
    buildContext: true,
    cache: true,
    cacheFrom: true,
    cacheMounts: true,
    cacheTo: true,
    cacheUpload: true,
    cacheVerifyKey: true,
    compression: true,
    config: true,
    context: true,
    file: true,
    iidfile: true,
    label: true,
    load: true,
    metadataFile: true,
    network: true,
    noCache: true,
    noCacheFilter: true,
    onEvent: true,
    output: true,
    platform: true,
    pull: true,
    push: true,
    runner: true,
    secret: true,
    shmSize: true,
    signal: true,
    snapshotter: true,
    ssh: true,
    store: true,
    tag: true,
    target: true,
    ulimit: true,
  };
  const ofFlags = OPTIONS.map(({ key }) => key).filter((key) => !["progress", "quiet"].includes(key));
  expect(Object.keys(keys).toSorted()).toEqual([...ofFlags, "config", "context", "onEvent", "signal"].toSorted());
});
