/** Builds examples/hello on a busybox base made here, and says how to look at the image. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { busyboxLayout } from "./base-images.ts";

const root = join(import.meta.dirname, "..");
const base = await busyboxLayout();
const args = [
  "build",
  "--build-context",
  `busybox=oci-layout://${base}`,
  "-t",
  "hello:1",
  "-o",
  "type=oci,dest=hello.tar",
  "-o",
  "type=image",
  join(root, "examples/hello"),
];
console.log(`$ npx varve ${args.join(" ")}`);
const built = spawnSync(process.execPath, [join(root, "apps/cli/bin/varve.js"), ...args], { stdio: "inherit" });
if (built.status === 0)
  console.log(
    "\nThe image is in hello.tar and in the store. Look at it with:\n  skopeo inspect oci-archive:hello.tar\n  tar -tf hello.tar",
  );
process.exitCode = built.status ?? 1;
