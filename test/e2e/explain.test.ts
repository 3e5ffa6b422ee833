import { chmodSync, cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { openLayout, parseManifest, readContent } from "@varve/oci";
import { Ajv } from "ajv";
import { describe, expect, test } from "vitest";
import { busyboxLayout } from "../../tools/base-images.ts";
import { busyboxArgs, changeBase, Workspace } from "./varve.ts";

/** Step without its stage and position -> why it ran. */
type Reasons = Readonly<Record<string, string>>;

interface Edit {
  readonly name: string;
  /** Files to write; null removes one. */
  readonly files?: Readonly<Record<string, string | null>>;
  readonly change?: (work: Workspace, context: string) => void | Promise<void>;
  readonly args?: readonly string[];
  readonly misses: Reasons;
}

const schema = JSON.parse(readFileSync(join(import.meta.dirname, "../../docs/progress.schema.json"), "utf8")) as object;
const isLine = new Ajv().compile(schema);

interface ExplainedStep {
  readonly name: string;
  readonly outcome: "hit" | "miss";
  readonly certain: boolean;
  readonly reason?: { readonly text: string };
}

/** A project that is edited, predicted and built again and again. */
class Project implements Disposable {
  readonly #work = new Workspace();
  readonly #context: string;

  constructor(files: Readonly<Record<string, string>>) {
    this.#context = this.#work.context(files);
  }

  [Symbol.dispose](): void {
    this.#work[Symbol.dispose]();
  }

  /** Exactly these steps run, each for this reason, and nothing else was predicted. */
  async check({ name, files = {}, change, args = [], misses }: Edit): Promise<void> {
    for (const [path, text] of Object.entries(files)) {
      if (text === null) rmSync(join(this.#context, path));
      else this.#work.context({ [path]: text });
    }
    await change?.(this.#work, this.#context);
    const words = [...args.map((word) => word.replaceAll("WORK", this.#work.path)), this.#context];
    const explained = await this.#work.run(["explain", "--json", ...(await busyboxArgs()), ...words]);
    expect(explained.code, explained.stderr).toBe(0);
    const { steps } = JSON.parse(explained.stdout) as { readonly steps: readonly ExplainedStep[] };
    const events = await this.#work.events(["-t", "explained", ...words]);
    expect(events.filter((line) => !isLine(line))).toEqual([]);
    expect(events.at(-1)?.type).toBe("result");
    const ran = events.flatMap(({ type, name: step, reason }) =>
      type === "step-started" && step !== undefined && reason !== undefined
        ? [[nameOf(step), this.#withoutPaths(reason.text)] as const]
        : [],
    );
    expect(Object.fromEntries(ran), name).toEqual(misses);
    for (const step of steps) this.#checkPrediction(step, misses, name);
  }

  #checkPrediction({ name, outcome, certain, reason }: ExplainedStep, misses: Reasons, edit: string): void {
    const why = misses[nameOf(name)];
    if (certain) expect([name, outcome], edit).toEqual([name, why === undefined ? "hit" : "miss"]);
    if (outcome === "miss" && why !== undefined) expect(this.#withoutPaths(reason?.text ?? ""), edit).toBe(why);
  }

  #withoutPaths(text: string): string {
    return text
      .replaceAll(this.#work.path, "WORK")
      .replaceAll(/\b[0-9a-f]{4}…/g, "0000…")
      .replaceAll(/:\d{4,5}\//g, ":PORT/");
  }
}

function nameOf(step: string): string {
  return step.replace(/^\[[^\]]*\] /, "").replaceAll(/\s+/g, " ");
}

function all(reason: string, steps: readonly string[]): Reasons {
  return Object.fromEntries(steps.map((step) => [step, reason]));
}

const NODE = `FROM busybox AS deps
WORKDIR /app
COPY package.json package-lock.json ./
RUN cat package-lock.json > installed
FROM deps AS build
ARG VERSION=1.0
COPY src src
RUN find src -type f | sort | xargs cat > bundle.js
FROM busybox
ENV MODE=production
COPY --from=build /app/bundle.js /srv/
RUN echo "$MODE" > /mode
`;
const INSTALL = "RUN cat package-lock.json > installed";
const BUNDLE = "RUN find src -type f | sort | xargs cat > bundle.js";
const TAKE = "COPY --from=build /app/bundle.js /srv/";
const MODE = 'RUN echo "$MODE" > /mode';
const NODE_STEPS = [
  "WORKDIR /app",
  "COPY package.json package-lock.json ./",
  INSTALL,
  "COPY src src",
  BUNDLE,
  TAKE,
  MODE,
] as const;

/** A change of `src` and what follows from it; `names` as they stand before and behind the place. */
function sourceChange(own: string, place: (where: string) => string): Reasons {
  return {
    "COPY src src": own,
    [BUNDLE]: place(" in step 2"),
    [TAKE]: place(" in step 2 of build"),
    [MODE]: place(" in step 2 of build"),
  };
}

const NODE_EDITS: readonly Edit[] = [
  { name: "the first build", misses: all("first build", NODE_STEPS) },
  { name: "nothing", misses: {} },
  { name: "a file that is not copied", files: { "README.md": "other\n" }, misses: {} },
  {
    name: "a source file",
    files: { "src/a.ts": "a2\n" },
    misses: sourceChange("src/a.ts changed", (where) => `src/a.ts changed${where}`),
  },
  {
    name: "two source files and a new one in a new directory",
    files: { "src/a.ts": "a3\n", "src/b.ts": "b3\n", "src/c/d.ts": "d\n" },
    misses: sourceChange(
      "2 files changed: src/a.ts, src/b.ts; 1 file added: src/c/d.ts",
      (where) => `2 files changed${where}: src/a.ts, src/b.ts; 1 file added: src/c/d.ts`,
    ),
  },
  {
    name: "a directory removed",
    change: (_, context) => rmSync(join(context, "src/c"), { recursive: true }),
    misses: sourceChange("1 file removed: src/c/d.ts", (where) => `1 file removed${where}: src/c/d.ts`),
  },
  {
    name: "the lock file",
    files: { "package-lock.json": "lock 2\n" },
    misses: {
      "COPY package.json package-lock.json ./": "package-lock.json changed",
      [INSTALL]: "package-lock.json changed in step 3",
      [BUNDLE]: "package-lock.json changed in step 3 of deps",
    },
  },
  {
    name: "a build arg",
    args: ["--build-arg", "VERSION=1.1"],
    misses: { [BUNDLE]: "ARG VERSION: 1.0 -> 1.1" },
  },
  {
    name: "the build arg back, and the environment",
    files: { Dockerfile: NODE.replace("production", "test") },
    misses: { [MODE]: "ENV MODE: production -> test" },
  },
  {
    name: "the build arg again, after the other one was used: from the last value, not from the value before",
    args: ["--build-arg", "VERSION=1.2"],
    misses: { [BUNDLE]: "ARG VERSION: 1.0 -> 1.2" },
  },
  {
    name: "an instruction",
    files: { Dockerfile: NODE.replace("| sort |", "| sort -u |") },
    misses: {
      [BUNDLE.replace("sort", "sort -u")]: `instruction changed: ${BUNDLE} -> ${BUNDLE.replace("sort", "sort -u")}`,
    },
  },
  {
    name: "permissions",
    files: { Dockerfile: NODE },
    change: (_, context) => chmodSync(join(context, "src/a.ts"), 0o755),
    misses: {
      "COPY src src": "1 file with other permissions: src/a.ts (644 -> 755)",
      [BUNDLE]: "1 file with other permissions in step 2: src/a.ts (644 -> 755)",
    },
  },
  {
    name: "a new instruction",
    files: { Dockerfile: NODE.replace("/app\n", "/app\nRUN mkdir /x\n") },
    misses: {
      "RUN mkdir /x": "new instruction",
      [INSTALL]: "instruction added in step 3: RUN mkdir /x",
      [BUNDLE]: "instruction added in step 3 of deps: RUN mkdir /x",
    },
  },
  { name: "all as it was", files: { Dockerfile: NODE }, misses: {} },
  {
    name: "an ignore file",
    files: { ".dockerignore": "src/b.ts\n" },
    misses: sourceChange(
      "1 file left out by the ignore file: src/b.ts",
      (where) => `1 file left out by the ignore file${where}: src/b.ts`,
    ),
  },
  {
    name: "--no-cache",
    args: ["--no-cache"],
    misses: all("--no-cache", NODE_STEPS),
  },
];

const CONFIGURED = `FROM base
ARG REGION=eu
RUN --mount=type=bind,source=config,target=/config cat /config/* > /all
COPY --link assets /assets
COPY --chown=app app-$REGION.conf /etc/app.conf
RUN <<EOF
echo one > /one
EOF
USER app
WORKDIR /home/app/work
RUN id > /tmp/id
`;
const CONFIGURE = "RUN --mount=type=bind,source=config,target=/config cat /config/* > /all";
const CONF = "COPY --chown=app app-$REGION.conf /etc/app.conf";
const BASE = ["--build-context", "base=oci-layout://WORK/base"];

const CONFIGURED_EDITS: readonly Edit[] = [
  {
    name: "the first build",
    args: BASE,
    change: async (work) => cpSync(await busyboxLayout(), work.file("base"), { recursive: true }),
    misses: all("first build", [
      CONFIGURE,
      "COPY --link assets /assets",
      CONF,
      "RUN <<EOF",
      "WORKDIR /home/app/work",
      "RUN id > /tmp/id",
    ]),
  },
  {
    name: "a file behind a bind mount",
    args: BASE,
    files: { "config/one": "1b\n" },
    misses: {
      [CONFIGURE]: "config/one changed",
      "RUN <<EOF": "config/one changed in step 2",
      "RUN id > /tmp/id": "config/one changed in step 2",
    },
  },
  {
    name: "a linked copy",
    args: BASE,
    files: { "assets/logo": "logo 2\n" },
    misses: {
      "COPY --link assets /assets": "assets/logo changed",
      "RUN <<EOF": "assets/logo changed in step 3",
      "RUN id > /tmp/id": "assets/logo changed in step 3",
    },
  },
  {
    name: "a build arg that names a file, and is seen by RUN",
    args: [...BASE, "--build-arg", "REGION=us"],
    misses: all("ARG REGION: eu -> us", [CONFIGURE, CONF, "RUN <<EOF", "RUN id > /tmp/id"]),
  },
  {
    name: "a here-document",
    args: BASE,
    files: { Dockerfile: CONFIGURED.replace("echo one", "echo two") },
    misses: { "RUN <<EOF": "here-document changed", "RUN id > /tmp/id": "here-document changed in step 5" },
  },
  {
    name: "the user",
    args: BASE,
    files: { Dockerfile: CONFIGURED.replace("echo one", "echo two").replace("USER app", "USER nobody") },
    misses: { "WORKDIR /home/app/work": "USER: app -> nobody", "RUN id > /tmp/id": "USER: app -> nobody" },
  },
  {
    name: "the network",
    args: [...BASE, "--network", "none"],
    files: { Dockerfile: CONFIGURED },
    misses: all("--network: default -> none", [CONFIGURE, "RUN <<EOF", "RUN id > /tmp/id"]),
  },
  {
    name: "a base that moved",
    args: BASE,
    change: async (work) => {
      rmSync(work.file("base"), { recursive: true });
      await changeBase(await busyboxLayout(), work.file("base"));
    },
    misses: all("base image moved: oci-layout://WORK/base 0000… -> 0000…", [
      CONFIGURE,
      "RUN <<EOF",
      "RUN id > /tmp/id",
    ]),
  },
  {
    name: "a layer that is gone from the store",
    args: BASE,
    change: removeLastLayer,
    misses: { "RUN id > /tmp/id": "evicted: its result is no longer in the store" },
  },
];

/** Removes the blob of the last layer of the image that was built last. */
async function removeLastLayer(work: Workspace): Promise<void> {
  const layout = await openLayout(work.store);
  const [image] = await layout.list();
  const { layers } = parseManifest(await readContent(layout, image!));
  rmSync(join(work.store, "blobs/sha256", layers.at(-1)!.digest.slice("sha256:".length)));
}

describe("why steps run", () => {
  test("a Node project of three stages", async () => {
    using project = new Project({
      Dockerfile: NODE,
      "package.json": "{}\n",
      "package-lock.json": "lock 1\n",
      "src/a.ts": "a\n",
      "src/b.ts": "b\n",
      "README.md": "read me\n",
    });
    for (const edit of NODE_EDITS) await project.check(edit);
  });

  test("a configured base: mounts, links, owners, here-documents", async () => {
    using project = new Project({
      Dockerfile: CONFIGURED,
      "config/one": "1\n",
      "config/two": "2\n",
      "assets/logo": "logo\n",
      "app-eu.conf": "eu\n",
      "app-us.conf": "us\n",
    });
    for (const edit of CONFIGURED_EDITS) await project.check(edit);
  });

  test("downloads, an archive, a shell, another base", async () => {
    let body = "one";
    const server = createServer((_, response) => response.end(body)).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/file`;
    const Dockerfile = `FROM busybox\nADD ${url} /file\nADD numbers.tar /\nRUN cat /file > /copy\n`;
    const add = `ADD ${url} /file`;
    const shell = Dockerfile.replace("RUN", 'SHELL ["/bin/sh", "-ec"]\nRUN');
    try {
      using project = new Project({ Dockerfile, "numbers.tar": "" });
      const numbers = (_: Workspace, context: string): void =>
        writeFileSync(join(context, "numbers.tar"), Buffer.alloc(10_240));
      const first = all("first build", [add, "ADD numbers.tar /", "RUN cat /file > /copy"]);
      await project.check({ name: "the first build", misses: first });
      body = "two";
      await project.check({
        name: "what the URL gives",
        misses: {
          [add]: "http://127.0.0.1:PORT/file changed: 0000… -> 0000…",
          "RUN cat /file > /copy": "http://127.0.0.1:PORT/file changed in step 2: 0000… -> 0000…",
        },
      });
      await project.check({
        name: "the archive",
        change: numbers,
        misses: {
          "ADD numbers.tar /": "numbers.tar changed",
          "RUN cat /file > /copy": "numbers.tar changed in step 3",
        },
      });
      await project.check({
        name: "the shell",
        files: { Dockerfile: shell },
        misses: { "RUN cat /file > /copy": "SHELL: /bin/sh -c -> /bin/sh -ec" },
      });
      await project.check({
        name: "another base",
        files: { Dockerfile: shell.replace("FROM busybox", "FROM other") },
        change: async (work) => changeBase(await busyboxLayout(), work.file("other")),
        args: ["--build-context", "other=oci-layout://WORK/other"],
        misses: {
          "RUN cat /file > /copy": `base image changed: oci-layout://${await busyboxLayout()} -> oci-layout://WORK/other`,
        },
      });
    } finally {
      server.close();
    }
  });

  test("says that a step did not finish the last time, and compares what was never built with nothing", async () => {
    using work = new Workspace();
    const Dockerfile = 'FROM busybox AS one\nRUN test -n "$(ls /etc)"\nFROM busybox AS two\nRUN false\n';
    const context = work.context({ Dockerfile });
    await work.build(["--target", "one", context]);
    const fresh = await work.fail(["--progress=plain", context]);
    expect(fresh.stderr).toContain("why: first build of stage two");
    const again = await work.fail(["--progress=plain", context]);
    expect(again.stderr).toContain("why: did not finish the last time");
  });

  test("shows no query of a URL, where a variable's value may stand", async () => {
    const server = createServer((_, response) => response.end(String(Math.random()))).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/file`;
    try {
      using work = new Workspace();
      const Dockerfile = `FROM busybox\nARG TOKEN\nADD ${url}?token=$TOKEN /file\nRUN cat /file\n`;
      const context = work.context({ Dockerfile });
      for (const token of ["plugh-1", "plugh-1"]) {
        const events = await work.events(["--build-arg", `TOKEN=${token}`, context]);
        expect(JSON.stringify(events.map(({ reason }) => reason))).not.toContain("plugh");
        if (events.some(({ reason }) => reason?.kind === "changed"))
          expect(JSON.stringify(events)).toContain(`${url} changed`);
      }
      const changed = JSON.stringify(await work.events(["--build-arg", "TOKEN=plugh-2", context]));
      expect(changed).toContain("ARG TOKEN changed (value hidden)");
      expect(changed).not.toContain("plugh");
    } finally {
      server.close();
    }
  });

  test("never shows nor keeps the value of a variable that sounds secret, nor of a secret", async () => {
    using work = new Workspace();
    const Dockerfile = "FROM busybox\nARG NPM_TOKEN\nRUN --mount=type=secret,id=s cat /run/secrets/s > /dev/null\n";
    const context = work.context({ Dockerfile });
    writeFileSync(work.file("secret"), "xyzzy-1");
    const args = ["--secret", `id=s,src=${work.file("secret")}`];
    await work.events([...args, "--build-arg", "NPM_TOKEN=plugh-1", context]);
    const second = [...args, "--build-arg", "NPM_TOKEN=plugh-2", context];
    const events = await work.events(second);
    const text = JSON.stringify(events);
    expect(text).toContain("ARG NPM_TOKEN changed (value hidden)");
    expect(text).not.toMatch(/plugh|xyzzy/);
  });
});

describe("varve explain", () => {
  test("says in lines what a build would find, and why not the rest", async () => {
    using work = new Workspace();
    const place = work.context({ Dockerfile: "FROM busybox\nCOPY a.txt /\nRUN cat a.txt\n", "a.txt": "a\n" });
    const base = await busyboxArgs();
    await work.build([place]);
    expect((await work.run(["explain", ...base, place])).stdout).toBe(
      "hit          [2/3] COPY a.txt /\nhit          [3/3] RUN cat a.txt\n2 steps, hits: 2, misses: 0\n",
    );
    work.context({ "a.txt": "b\n" });
    const { code, stdout } = await work.run(["explain", ...base, place]);
    expect([code, stdout.split("\n")]).toEqual([
      0,
      [
        "miss         [2/3] COPY a.txt /",
        "             a.txt changed",
        "likely miss  [3/3] RUN cat a.txt",
        "             a.txt changed in step 2",
        "2 steps, hits: 0, misses: 2",
        "",
      ],
    ]);
  });

  test.each([
    [["--target", "none", "CONTEXT"], 1, "TARGET_UNKNOWN"],
    [["--nonsense", "CONTEXT"], 2, "USAGE"],
    [["CONTEXT/nowhere"], 2, "USAGE"],
    [["-f", "CONTEXT/nowhere", "CONTEXT"], 1, "DOCKERFILE_MISSING"],
  ])("%j ends with %d and says %s", async (args, code, word) => {
    using work = new Workspace();
    const context = work.context({ Dockerfile: "FROM scratch\n" });
    const outcome = await work.run(["explain", ...args.map((word) => word.replace("CONTEXT", context))]);
    expect([outcome.code, outcome.stdout]).toEqual([code, ""]);
    expect(outcome.stderr).toContain(`error ${word}: `);
  });
});
