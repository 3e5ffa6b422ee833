import * as L from "@varve/layer";
import fs from "node:fs";
const d = "/work/tmp/lay/x";
fs.rmSync(d, { recursive: true, force: true });
let s = performance.now();
const i = await L.extractLayer(fs.createReadStream(process.argv[2]!, { highWaterMark: 1 << 20 }), {
  directory: d,
  overlay: "trusted",
});
console.log(
  "extract",
  Math.round(performance.now() - s),
  i.entries.length,
  "rss",
  Math.round(process.resourceUsage().maxRSS / 1024),
);
const c = process.cpuUsage();
console.log(c.user / 1e6, c.system / 1e6);
s = performance.now();
const t = L.stackTrees([{ index: i, directory: d }]);
const diff = await L.diffTree(d, t, { unchangedBefore: BigInt(Date.now() + 10000) * 1000000n });
console.log("diffTree", Math.round(performance.now() - s), diff.length);
