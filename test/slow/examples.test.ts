/**
 * The projects of examples/ as their users live with them: a first build, the image run, a second build that runs
 * nothing, and a change of one source file that runs again only what it must.
 */
import { execFileSync } from "node:child_process";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { languageBaseFlags } from "../../tools/language-bases.ts";
import { Workspace } from "../e2e/varve.ts";
import { runToEnd, startContainer, unpackImage } from "./container.ts";

const EXAMPLES = join(import.meta.dirname, "..", "..", "examples");

interface Example {
  readonly bases: readonly string[];
  readonly flags?: readonly string[];
  /** Runs the image that was unpacked. */
  readonly run: (bundle: string) => Promise<void>;
  /** A file of the context, and a change of it that shows in the image. */
  readonly change: { readonly file: string; readonly from: string; readonly to: string };
  /** Names of the steps that the change runs again, whatever their order. */
  readonly reruns: readonly string[];
}

async function expectAnswer(bundle: string, url: string, answer: unknown): Promise<void> {
  await using container = startContainer(bundle);
  expect(JSON.parse(await container.get(url))).toEqual(answer);
}

const PROJECTS: Readonly<Record<string, Example>> = {
  "node-service": {
    bases: ["node:24-bookworm-slim"],
    run: (bundle) => expectAnswer(bundle, "http://127.0.0.1:3000/health", { pastes: 0, uid: 1000 }),
    change: { file: "src/app.js", from: "no such paste", to: "there is no such paste" },
    reruns: ["[test 4/6] COPY", "[test 6/6] RUN"],
  },
  "node-monorepo": {
    bases: ["node:24-bookworm-slim"],
    run: (bundle) => expectAnswer(bundle, "http://127.0.0.1:3000/", { total: "25.00 EUR" }),
    change: { file: "apps/api/src/main.ts", from: "1999n", to: "2099n" },
    reruns: ["[build 4/5] COPY", "[build 5/5] RUN", "[release 4/5] COPY"],
  },
  "python-app": {
    bases: ["python:3.11-slim-bookworm"],
    run: (bundle) => expectAnswer(bundle, "http://127.0.0.1:8000/?text=a+b+A", { a: 2, b: 1 }),
    change: { file: "src/tally/count.py", from: "text.lower()", to: "text.casefold()" },
    reruns: ["[build 7/8] COPY", "[build 8/8] RUN", "[stage-2 3/3] COPY"],
  },
  "go-service": {
    bases: ["golang:1.19-bookworm"],
    flags: ["--build-arg", "VERSION=1.2.3"],
    run: (bundle) =>
      expectAnswer(bundle, "http://127.0.0.1:8080/", {
        quote: "Layers tell the years.",
        version: "1.2.3",
        uid: 65_532,
      }),
    change: { file: "internal/quotes/quotes.txt", from: "Layers", to: "Rings" },
    reruns: ["[build 5/5] RUN", "[stage-1 2/2] COPY"],
  },
  "static-site": {
    bases: ["node:24-bookworm-slim", "nginx:1.22"],
    run: async (bundle) => {
      await using container = startContainer(bundle);
      expect(await container.get("http://127.0.0.1:8080/healthz")).toBe("ok");
      expect(await container.get("http://127.0.0.1:8080/about")).toContain("<p>Counted in lakes.</p>");
    },
    change: { file: "site/about.md", from: "lakes", to: "many lakes" },
    reruns: ["[build 4/5] COPY", "[build 5/5] RUN", "[stage-1 4/4] COPY"],
  },
  "c-apt": {
    bases: ["debian:bookworm-slim"],
    run: async (bundle) => {
      expect(runToEnd(bundle, ["notes", "notes.db", "add", "first", "second"])).toBe("1 first\n2 second\n");
      expect(runToEnd(bundle)).toBe("1 first\n2 second\n");
    },
    change: { file: "src/main.c", from: "usage: notes FILE list", to: "usage: notes FILE [list]" },
    reruns: ["[build 5/6] COPY", "[build 6/6] RUN", "[stage-1 3/4] COPY"],
  },
  "multi-platform": {
    bases: ["golang:1.19-bookworm"],
    run: async (bundle) => expect(runToEnd(bundle)).toBe("asked for linux/amd64, runs on linux/amd64\n"),
    change: { file: "main.go", from: "runs on", to: "running on" },
    reruns: ["[build 4/5] COPY", "[build 5/5] RUN", "[linux 2/2] COPY"],
  },
  "php-app": {
    bases: ["composer:2", "php:8.2-cli"],
    run: (bundle) =>
      expectAnswer(bundle, "http://127.0.0.1:8080/?title=Hello,+World", { slug: "hello-world", uid: 33 }),
    change: { file: "public/index.php", from: "?? ''", to: "?? 'untitled'" },
    reruns: ["[app 6/6] COPY"],
  },
  "cache-mounts": {
    bases: ["debian:bookworm-slim"],
    run: async (bundle) => expect(runToEnd(bundle)).toBe("2\n3\n5\n7\n11\n13\n17\n19\n23\n29\n"),
    change: { file: "src/main.cpp", from: ": 100", to: ": 1000" },
    reruns: ["[build 3/3] RUN", "[stage-3 2/2] COPY"],
  },
};

interface Built {
  /** The image's ID. */
  readonly id: string;
  /** Steps that ran, such as `[build 2/3] RUN`, but for those of bases. */
  readonly ran: readonly string[];
}

/** Builds into the layout `image` beside the context. */
async function build(work: Workspace, context: string, flags: readonly string[]): Promise<Built> {
  const output = ["-o", `type=oci,tar=false,dest=${join(context, "..", "image")}`];
  const { code, stdout, stderr } = await work.run(["build", "--progress=json", ...flags, ...output, context]);
  if (code !== 0) throw new Error(`varve build ended with ${code}:\n${stderr.slice(-4000)}`);
  const lines = stderr.split("\n").filter((line) => line.startsWith("{"));
  const events = lines.map((line) => JSON.parse(line) as { readonly type: string; readonly name: string });
  const ran = events.flatMap(({ type, name }) => {
    const short = /^\[.*?\] [A-Z]+/.exec(name)?.[0];
    return type === "step-started" && short !== undefined ? [short] : [];
  });
  return { id: stdout.trim(), ran };
}

describe("examples", () => {
  const work = new Workspace();

  afterAll(() => work[Symbol.dispose]());

  test.each(Object.entries(PROJECTS))(
    "%s is built, runs, and is built again only where it changed",
    async (name, example) => {
      const context = work.file(join(name, "context"));
      cpSync(join(EXAMPLES, name), context, { recursive: true });
      const flags = [...(await languageBaseFlags(example.bases)), ...(example.flags ?? [])];

      const first = await build(work, context, flags);
      expect(first.ran).not.toEqual([]);
      await example.run(unpackImage(work.file(join(name, "image")), work.path));

      expect(await build(work, context, flags)).toEqual({ id: first.id, ran: [] });

      const { file, from, to } = example.change;
      const text = readFileSync(join(context, file), "utf8");
      expect(text).toContain(from);
      writeFileSync(join(context, file), text.replace(from, to));
      const changed = await build(work, context, flags);
      expect(changed.ran.toSorted()).toEqual(example.reruns.toSorted());
      expect(changed.id).not.toBe(first.id);
    },
  );

  test("multi-platform is built for three platforms by compilers of one", async () => {
    const context = join(EXAMPLES, "multi-platform");
    const layout = work.file("platforms");
    const flags = [
      ...(await languageBaseFlags(["golang:1.19-bookworm"])),
      "--platform",
      "linux/amd64,linux/arm64,linux/arm/v7",
      "-o",
      `type=oci,tar=false,dest=${layout}`,
    ];
    const { code, stderr } = await work.run(["build", "--progress=plain", ...flags, context]);
    expect(code, stderr.slice(-3000)).toBe(0);
    for (const [platform, machine] of [
      ["arm64", "AArch64"],
      ["arm", "ARM"],
    ] as const) {
      const unpacked = work.file(`unpacked-${platform}`);
      execFileSync("skopeo", [
        "--override-arch",
        platform,
        "copy",
        "-q",
        `oci:${layout}:latest`,
        `oci:${unpacked}:latest`,
      ]);
      const program = join(unpackImage(unpacked, work.path), "rootfs", "usr/bin/whereami");
      expect(machineOf(program)).toBe(machine);
    }
  });
});

/** What an ELF file was compiled for: `e_machine` of its header. */
function machineOf(program: string): string | undefined {
  const header = readFileSync(program).subarray(0, 20);
  return { 40: "ARM", 62: "x86-64", 183: "AArch64" }[header.readUInt16LE(18)];
}
