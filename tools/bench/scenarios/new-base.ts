/** The base image changes beneath layers that do not touch it. */
import { cpSync } from "node:fs";
import { join } from "node:path";
import { addLayer } from "../../add-layer.ts";
import { busyboxLayout } from "../../base-images.ts";
import { progressLines, type Scenario } from "../scenario.ts";
import type { Place } from "../place.ts";

const DOCKERFILE = "FROM base\nWORKDIR /app\nCOPY package.json ./\nCOPY . ./\nCOPY --chown=app . /copy/\n";

async function contest(place: Place): ReturnType<Scenario["contest"]> {
  const base = join(place.path, "base");
  cpSync(await busyboxLayout(), base, { recursive: true });
  const file = place.write("base.Dockerfile", DOCKERFILE);
  place.write("app/package.json", "{}\n");
  for (let number = 0; number < 200; number += 1) place.write(`app/src/file-${number}.js`, `// ${number}\n`);
  const context = join(place.path, "app");
  const args = ["--progress=json", "-f", file, "--build-context", `base=oci-layout://${base}`, context];
  let change = 0;
  return {
    contestants: [
      {
        name: "varve",
        ...place.varve(args, "base"),
        before: () => addLayer(base, `var/change-${(change += 1)}`),
        counters(outcome) {
          const made = progressLines(outcome).filter(({ type }) => type === "step-finished");
          return { "layers made again": made.filter(({ name = "" }) => /COPY|WORKDIR/.test(name)).length };
        },
      },
    ],
    bounds: [{ kind: "counter", counter: "layers made again", most: 0 }],
  };
}

/** All of them. */
export const newBaseScenarios: readonly Scenario[] = [
  { name: "new-base", title: "The base image has one layer more; WORKDIR and three COPY above it", contest },
];
