/** Works of many steps. */
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execFileSync } from "node:child_process";
import { busyboxLayout } from "../../base-images.ts";
import type { Contestant } from "../contest.ts";
import type { Place } from "../place.ts";
import { pipe, type Scenario } from "../scenario.ts";

function range(count: number): readonly number[] {
  return Array.from({ length: count }, (_, position) => position);
}

function emptyContext(place: Place): string {
  place.write("empty/file", "");
  return join(place.path, "empty");
}

/** RUN steps on each other, none from the cache. */
function runs(full: number, withRivals: boolean): Scenario {
  return {
    name: `runs-${full}`,
    title: `${full} RUN steps that do nothing, not cached`,
    async contest(place) {
      const count = full > 100 ? Math.max(100, Math.ceil(full * place.scale)) : full;
      const lines = range(count).map((step) => `RUN true ${step}`);
      const file = place.write(`runs-${full}.Dockerfile`, ["FROM busybox", ...lines, ""].join("\n"));
      const none = place.write("none.Dockerfile", "FROM busybox\nLABEL a=b\n");
      const context = emptyContext(place);
      const build = (path: string): readonly string[] => ["-q", "--no-cache", "-f", path, context];
      return {
        contestants: [
          { name: "varve", ...place.varve(build(file), "runs") },
          { name: "varve --runner runc", ...place.varve(["--runner", "runc", ...build(file)], "runs") },
          { name: "a build without RUN", ...place.varve(build(none), "runs") },
          ...(withRivals ? [await bareRunc(place, count)] : []),
          ...(withRivals ? place.rivals.contestants({ dockerfile: file, context, fresh: true }) : []),
        ],
        bounds: [{ kind: "each", items: count, less: "a build without RUN", most: 26 }],
      };
    },
  };
}

/** What the runtime itself takes, in a root file system that stands ready. */
async function bareRunc(place: Place, count: number): Promise<Contestant> {
  const bundle = join(place.path, "bundle");
  mkdirSync(bundle, { recursive: true });
  execFileSync("sh", ["-c", `umoci unpack --image ${await busyboxLayout()}:latest ${bundle}/unpacked 2>/dev/null`]);
  cpSync(join(bundle, "unpacked", "rootfs"), join(bundle, "rootfs"), { recursive: true, verbatimSymlinks: true });
  execFileSync("runc", ["spec"], { cwd: bundle });
  const config = join(bundle, "config.json");
  const spec = JSON.parse(execFileSync("cat", [config], { encoding: "utf8" })) as {
    process: { terminal: boolean; args: readonly string[] };
  };
  spec.process = { ...spec.process, terminal: false, args: ["/bin/sh", "-c", "true"] };
  writeFileSync(config, JSON.stringify(spec));
  const run = `runc --root ${place.file("runc")} run --bundle ${bundle} bench-$i`;
  return { name: "bare runc run", command: pipe(`for i in $(seq ${count}); do ${run}; done`) };
}

const deep: Scenario = {
  name: "deep-graph",
  title: "100 stages, each copying from the one before, not cached",
  async contest(place) {
    const stages = range(100).map((stage) =>
      stage === 0
        ? "FROM busybox AS s0\nCOPY file /0\n"
        : `FROM busybox AS s${stage}\nCOPY --from=s${stage - 1} /${stage - 1} /${stage}\n`,
    );
    return contestOf(place, { name: "deep", text: stages.join("") });
  },
};

const wide: Scenario = {
  name: "wide-graph",
  title: "100 stages beside each other, all copied into the last, not cached",
  async contest(place) {
    const stages = range(100).map((stage) => `FROM busybox AS s${stage}\nCOPY file /${stage}\n`);
    const copies = range(100).map((stage) => `COPY --link --from=s${stage} /${stage} /all/\n`);
    return contestOf(place, { name: "wide", text: [...stages, "FROM scratch\n", ...copies].join("") });
  },
};

async function contestOf(
  place: Place,
  { name, text }: { readonly name: string; readonly text: string },
): ReturnType<Scenario["contest"]> {
  const file = place.write(`${name}.Dockerfile`, text);
  const context = emptyContext(place);
  return {
    contestants: [
      { name: "varve", ...place.varve(["-q", "--no-cache", "-f", file, context], name) },
      ...place.rivals.contestants({ dockerfile: file, context, fresh: true }),
    ],
    bounds: [{ kind: "ratio", rival: "BuildKit", factor: 1 }],
  };
}

/** All of them. */
export const stepScenarios: readonly Scenario[] = [runs(50, true), runs(500, false), deep, wide];
