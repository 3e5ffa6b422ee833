import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LocalStore } from "@varve/cache";
import type { FileTree } from "@varve/layer";

/** Directories that one RUN step has at a time and leaves to the next, with what stands in them. */
export interface RunPlace {
  /** For its snapshot. */
  readonly snapshot: string;
  /** For its runner's own. */
  readonly scratch: string;
  /** Has mount points that most images lack, to be seen beneath all layers. */
  readonly ground: string;
}

/** The places of a build. To make files costs a step more than to use them again, and the more the sooner others went. */
export interface RunPlaces {
  /** A place that nobody has. */
  take(): Promise<RunPlace>;
  /** Gives it back, its snapshot cleared and its process at its end; one that is not given back is not used again. */
  leave(place: RunPlace): void;
}

/** Files that the runners mount. */
const POINTS = ["hosts", "resolv.conf"] as const;

/** No place yet; they go with what else the store has of this process. */
export function createRunPlaces(store: Pick<LocalStore, "makeTemporaryDirectory">): RunPlaces {
  const free: RunPlace[] = [];
  return {
    async take() {
      return free.pop() ?? makePlace(await store.makeTemporaryDirectory("mounts"));
    },
    leave: (place) => void free.push(place),
  };
}

/** What a snapshot of `tree` has beneath its layers: nothing where they have no directory for it, which would show there. */
export function groundFor({ ground }: RunPlace, tree: FileTree): string | undefined {
  return tree.lookup("etc")?.type === "directory" ? ground : undefined;
}

function makePlace(directory: string): RunPlace {
  const [snapshot, scratch, ground] = [join(directory, "s"), join(directory, "run"), join(directory, "ground")];
  for (const path of [snapshot, scratch, ground, join(ground, "etc")]) mkdirSync(path, { mode: 0o755 });
  for (const name of POINTS) writeFileSync(join(ground, "etc", name), "", { mode: 0o644 });
  return { snapshot, scratch, ground };
}
