/** Runs the commands of docs/images.md as they stand there. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { busyboxLayout } from "../../tools/base-images.ts";
import { type RunningRegistry, startRegistry } from "../../tools/registry.ts";
import { Workspace } from "./varve.ts";

const root = join(import.meta.dirname, "..", "..");
const page = readFileSync(join(root, "docs/images.md"), "utf8");
const blocks = [...page.matchAll(/```(\w+)\n([^]*?)```/g)].map(([, language, text]) => ({
  language,
  text: text ?? "",
}));

describe("docs/images.md", () => {
  const work = new Workspace();
  const project = work.file("project");
  let registry: RunningRegistry;

  beforeAll(async () => {
    registry = await startRegistry();
    mkdirSync(project);
    writeFileSync(join(project, "Dockerfile"), blocks.find(({ language }) => language === "dockerfile")?.text ?? "");
    await work.run(["copy", `oci:${await busyboxLayout()}`, `docker://${registry.host}/busybox:latest`]);
    execFileSync("sed", ["-i", `s|^FROM busybox|FROM ${registry.host}/busybox|`, join(project, "Dockerfile")]);
  });

  afterAll(async () => {
    await registry?.stop();
    work[Symbol.dispose]();
  });

  test.each(blocks.filter(({ language }) => language === "sh").map(({ text }) => [text]))("%s", (text) => {
    const program = `${process.execPath} ${join(root, "apps/cli/bin/varve.js")}`;
    const script = `set -e -o pipefail\nvarve() { ${program} "$@"; }\n${text.replaceAll("registry.example.com", registry.host)}`;
    const { status, stdout, stderr } = spawnSync("bash", ["-c", script], {
      cwd: project,
      encoding: "utf8",
      env: { ...process.env, VARVE_STORE: work.store },
    });
    expect(status, `${stdout}${stderr}`).toBe(0);
    if (text.startsWith("varve run "))
      expect(stdout).toBe("hello\nDockerfile\napp.tar\nlayout\nlayout.tar\nold.tar.gz\nhello\ngreeting\n");
    if (text.startsWith("varve diff ")) expect(stdout).toContain("A /srv\nA /srv/greeting\n");
  });
});
