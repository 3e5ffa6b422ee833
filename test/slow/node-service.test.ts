/** A service as a project has it: Debian packages, npm packages with the host's settings, a user of its own. */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { debianLayout } from "../../tools/base-images.ts";
import { end, freePort, type RunningRegistry, startRegistry } from "../../tools/registry.ts";
import { Workspace } from "../e2e/varve.ts";

const dockerfile = (registry: string): string => `# syntax=docker/dockerfile:1
FROM ${registry}/debian:bookworm AS deps
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \\
    apt-get update -q && apt-get install -yq --no-install-recommends nodejs npm
WORKDIR /app
COPY package.json ./
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc --mount=type=secret,id=ca,target=/run/ca.pem \\
    NODE_EXTRA_CA_CERTS=/run/ca.pem npm install --omit=dev --no-audit --no-fund

FROM deps
COPY --chown=1000:1000 server.js ./
USER 1000
ENV PORT=8080
EXPOSE 8080
CMD ["node", "server.js"]
`;

const SERVER = `const http = require("node:http");
const isNumber = require("is-number");
http.createServer((request, response) => response.end(JSON.stringify({ five: isNumber(5), uid: process.getuid() }))).listen(process.env.PORT, "127.0.0.1");
`;

describe("a Debian-based Node service", () => {
  const work = new Workspace();
  let registry: RunningRegistry;

  beforeAll(async () => {
    registry = await startRegistry();
    execFileSync("skopeo", [
      "copy",
      "-q",
      "--dest-tls-verify=false",
      `oci:${await debianLayout()}:latest`,
      `docker://${registry.host}/debian:bookworm`,
    ]);
  });

  afterAll(async () => {
    await registry.stop();
    work[Symbol.dispose]();
  });

  test("builds from a registry's base, is pushed, pulled by skopeo, and runs under runc", async () => {
    const context = work.context({
      Dockerfile: dockerfile(registry.host),
      "server.js": SERVER,
      "package.json": JSON.stringify({ name: "service", private: true, dependencies: { "is-number": "7.0.0" } }),
    });
    const npmrc = [process.env["NPM_CONFIG_USERCONFIG"] ?? "", join(homedir(), ".npmrc")].find(
      (path) => path !== "" && existsSync(path),
    );
    writeFileSync(work.file("npmrc"), npmrc === undefined ? "" : readFileSync(npmrc));
    const name = `${registry.host}/team/service:1`;
    const secrets = [
      "--secret",
      `id=npmrc,src=${work.file("npmrc")}`,
      "--secret",
      "id=ca,src=/etc/ssl/certs/ca-certificates.crt",
    ];
    const built = await work.run(["build", "--progress=plain", ...secrets, "--push", "-t", name, context]);
    expect(built.code, built.stderr.slice(-3000)).toBe(0);

    execFileSync("skopeo", [
      "copy",
      "-q",
      "--src-tls-verify=false",
      `docker://${name}`,
      `oci:${work.file("pulled")}:1`,
    ]);
    execFileSync("umoci", ["unpack", "--image", `${work.file("pulled")}:1`, work.file("bundle")]);
    const rootfs = join(work.file("bundle"), "rootfs");
    expect(existsSync(join(rootfs, "root/.npmrc"))).toBe(false);
    expect(existsSync(join(rootfs, "app/node_modules/is-number/package.json"))).toBe(true);

    const port = await freePort();
    const file = join(work.file("bundle"), "config.json");
    const config = JSON.parse(readFileSync(file, "utf8")) as {
      process: { terminal: boolean; env: string[] };
      linux: { namespaces: { type: string }[] };
    };
    config.process.terminal = false;
    config.process.env.push(`PORT=${port}`);
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "network");
    writeFileSync(file, JSON.stringify(config));
    const child = spawn(
      "runc",
      ["--root", work.file("runc"), "run", "--bundle", work.file("bundle"), `varve-service-${process.pid}`],
      { stdio: ["ignore", "inherit", "inherit"] },
    );
    try {
      expect(await answer(`http://127.0.0.1:${port}/`)).toEqual({ five: true, uid: 1000 });
    } finally {
      await end(child);
    }

    const again = await work.run(["build", "--progress=plain", ...secrets, "--push", "-t", name, context]);
    expect(again.stderr).toContain("5 steps, 5 cached");
  });
});

async function answer(url: string): Promise<unknown> {
  for (let tries = 0; tries < 100; tries += 1) {
    const response = await fetch(url).catch(() => undefined);
    if (response?.ok === true) return response.json();
    await setTimeout(100);
  }
  throw new Error(`${url} does not answer`);
}
