/** Works that are over before one notices: small contexts, many images. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Place } from "../place.ts";
import { pipe, type Scenario } from "../scenario.ts";

const FILES = 50;

function smallContext(place: Place, name: string): string {
  for (let file = 0; file < FILES; file += 1) place.write(join(name, `file-${file}.txt`), `${name}, file ${file}\n`);
  return join(place.path, name);
}

const unchanged: Scenario = {
  name: "small-unchanged",
  title: "COPY of 50 files and a RUN, nothing changed",
  async contest(place) {
    const file = place.write("small.Dockerfile", "FROM busybox\nRUN true\nCOPY . /app\n");
    const context = smallContext(place, "small");
    return {
      contestants: [
        { name: "varve", ...place.varve(["-q", "-f", file, "-t", "small:1", context], "small") },
        { name: "node, doing nothing", command: [process.execPath, "-e", "0"] },
        ...place.rivals.contestants({ dockerfile: file, context }),
      ],
      bounds: [{ kind: "each", items: 1, most: 60 }],
    };
  },
};

/** As `nx run-many -t image` does it: a process for each, as many at once as there are processors. */
const manyImages: Scenario = {
  name: "many-images",
  title: "1,000 small images, each a build of its own with one changed file",
  async contest(place) {
    const count = Math.ceil(1000 * place.scale);
    const file = place.write("many.Dockerfile", "FROM busybox\nCOPY . /app\n");
    for (let image = 0; image < count; image += 1) {
      mkdirSync(join(place.path, "many", `${image}`), { recursive: true });
      place.write(`many/${image}/kept`, "the same everywhere\n");
    }
    let round = 0;
    const change = (): void => {
      round += 1;
      for (let image = 0; image < count; image += 1) place.write(`many/${image}/own`, `${image} ${round}\n`);
    };
    const { command, env = {} } = place.varve(["-q", "-f", file, "-t", "many:{}"], "many");
    const each = [...command, `${join(place.path, "many")}/{}`].join(" ");
    return {
      contestants: [
        {
          name: "varve",
          command: pipe(`seq 0 ${count - 1} | xargs -P "$(nproc)" -I{} ${each} >${place.file("many.log")}`),
          env,
          before: change,
        },
      ],
      bounds: [{ kind: "each", items: count, most: 100 }],
    };
  },
};

/** All of them. */
export const smallScenarios: readonly Scenario[] = [unchanged, manyImages];
