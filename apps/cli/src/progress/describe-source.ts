import type { BuildEvent } from "@varve/executor";

type Source = Extract<BuildEvent, { type: "step-cached" }>["source"];

/** What stands behind CACHED: nothing for this machine's store, else where the layer came from. */
export function describeSource(source: Source): string {
  switch (source) {
    case "local":
      return "";
    case "remote":
      return " from a remote cache";
    case "waited":
      return " from another builder that was waited for";
    default:
      return source satisfies never;
  }
}
