/** Works on a context as a large node_modules is. */
import { appendFileSync, globSync } from "node:fs";
import { join } from "node:path";
import type { Bound, Contestant } from "../contest.ts";
import type { Place } from "../place.ts";
import { pipe, progressLines, type Scenario } from "../scenario.ts";

const DOCKERFILE = "FROM scratch\nCOPY . /app\n";

function dockerfile(place: Place): string {
  return place.write("tree.Dockerfile", DOCKERFILE);
}

const unchanged: Scenario = {
  name: "tree-unchanged",
  title: "COPY of the large tree, nothing changed",
  async contest(place) {
    const [file, context] = [dockerfile(place), place.tree()];
    return {
      contestants: [
        { name: "varve", ...place.varve(["-q", "-f", file, context], "unchanged") },
        { name: "find", command: ["find", context, "-printf", String.raw`%s %T@ %i\n`] },
        ...place.rivals.contestants({ dockerfile: file, context }),
      ],
      bounds: [{ kind: "ratio", rival: "find", factor: 2.5, plus: 100 }],
    };
  },
};

/** The first build of the tree to an archive, against a pipe of tar and a compressor. */
function first(
  type: "gzip" | "zstd",
  rival: { readonly name: string; readonly tool: string },
  factor: number,
): Scenario {
  return {
    name: `tree-first-${type}`,
    title: `First build: COPY of the large tree to an OCI archive, ${type}`,
    async contest(place) {
      const [file, context] = [dockerfile(place), place.tree()];
      const archive = place.file(`${type}.tar`);
      const store = `first-${type}`;
      const args = ["-q", "-f", file, "-o", `type=oci,dest=${archive}`, `--compression=${type}`, context];
      const builders = place.rivals.contestants({
        dockerfile: file,
        context,
        fresh: true,
        archive: place.file("rival.tar"),
      });
      return {
        contestants: [
          { name: "varve", ...place.varve(args, store), before: () => place.forget(store) },
          {
            name: rival.name,
            command: pipe(`tar c -C ${context} . | ${rival.tool} >${place.file("piped")}`),
          },
          ...(type === "gzip" ? builders : []),
        ],
        bounds: [{ kind: "ratio", rival: rival.name, factor }],
      };
    },
  };
}

const oneChanged: Scenario = {
  name: "tree-one-changed",
  title: "One file of the large tree changed, built and pushed to a registry on this machine",
  async contest(place) {
    const [file, context, { host }] = [dockerfile(place), place.tree(), await place.registry()];
    const files = globSync("node_modules/package-1*/**/*.js", { cwd: context }).toSorted();
    let change = 0;
    const changeOne = (): void => {
      change += 1;
      appendFileSync(join(context, files[(change * 997) % files.length] ?? ""), `// change ${change}\n`);
    };
    const push = ["--progress=json", "-f", file, "-t", `${host}/varve:1`, "-o", "type=registry", context];
    const archive = ["-q", "-f", file, "-o", `type=oci,dest=${place.file("first.tar")}`, context];
    const changed: Contestant = {
      name: "varve",
      ...place.varve(push, "changed"),
      before: changeOne,
      counters: (outcome) => countSegments(progressLines(outcome)),
    };
    const firstBuild: Contestant = {
      name: "first build",
      ...place.varve(archive, "changed-first"),
      before: () => place.forget("changed-first"),
    };
    const bounds: readonly Bound[] = [
      { kind: "ratio", rival: "first build", factor: 0.6 },
      { kind: "each", items: 1, most: 3000 },
      { kind: "counter", counter: "segments compressed again, %", most: 5 },
    ];
    const rivals = place.rivals.contestants({ dockerfile: file, context, push: `${host}/rival:1`, before: changeOne });
    return { contestants: [changed, firstBuild, ...rivals], bounds };
  },
};

function countSegments(lines: ReturnType<typeof progressLines>): Readonly<Record<string, number>> {
  const counts = lines.flatMap((line) => line.segments ?? []);
  const segments = counts.reduce((sum, { total }) => sum + total, 0);
  const reused = counts.reduce((sum, count) => sum + count.reused, 0);
  return { "segments compressed again, %": segments === 0 ? Number.NaN : (100 * (segments - reused)) / segments };
}

/** All of them. */
export const treeScenarios: readonly Scenario[] = [
  unchanged,
  first("gzip", { name: "tar | pigz", tool: "pigz -n -4 -p 2" }, 1.6),
  first("zstd", { name: "tar | zstd", tool: "zstd -q -T2 -3" }, 2),
  oneChanged,
];
