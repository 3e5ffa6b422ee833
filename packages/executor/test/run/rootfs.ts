import { copyFileSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";

const APPLETS =
  "sh cat ls id env pwd sleep echo ifconfig mkdir rm stat hostname kill head wc mknod yes touch mount setsid unshare chmod umount";

/** Makes a rootfs with busybox in /bin and nothing else. */
export function fillRootfs(rootfs: string): void {
  mkdirSync(join(rootfs, "bin"), { recursive: true });
  copyFileSync("/bin/busybox", join(rootfs, "bin", "busybox"));
  for (const applet of APPLETS.split(" ")) symlinkSync("busybox", join(rootfs, "bin", applet));
}
