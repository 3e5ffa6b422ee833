/** One file that is larger than memory should hold. */
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Place } from "../place.ts";
import { pipe, type Scenario } from "../scenario.ts";

const MEBIBYTE = 1024 * 1024;

/** Pseudo-random words, so that a compressor finds something, but not all. */
function largeFile(place: Place): string {
  const file = openSync(place.file("large/file"), "w");
  const words = new Uint32Array(MEBIBYTE / 4);
  let state = 1;
  for (let piece = 0; piece < 2048 * place.scale; piece += 1) {
    for (let at = 0; at < words.length; at += 1) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      words[at] = at % 4 === 0 ? state : (words[at - 1] ?? 0) & 0x00ff00ff;
    }
    writeSync(file, words);
  }
  closeSync(file);
  return join(place.path, "large");
}

/** All of them. */
export const largeFileScenarios: readonly Scenario[] = [
  {
    name: "large-file",
    title: "First build: COPY of a file of 2 GiB to an OCI archive",
    async contest(place) {
      const file = place.write("large.Dockerfile", "FROM scratch\nCOPY . /\n");
      const context = largeFile(place);
      const args = ["-q", "-f", file, "-o", `type=oci,dest=${place.file("large.tar")}`, context];
      return {
        contestants: [
          { name: "varve", ...place.varve(args, "large"), before: () => place.forget("large") },
          { name: "tar | pigz", command: pipe(`tar c -C ${context} . | pigz -n -4 -p 2 >${place.file("piped")}`) },
          ...place.rivals.contestants({ dockerfile: file, context, fresh: true, archive: place.file("rival.tar") }),
        ],
        bounds: [{ kind: "ratio", rival: "tar | pigz", factor: 1.6 }],
      };
    },
  },
];
