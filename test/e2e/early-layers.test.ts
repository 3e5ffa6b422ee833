import { cpSync, linkSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Archive, type ProgressLine, Workspace } from "./varve.ts";

const PACKING = /^packing .*COPY/;

/** Large enough to be packed early; the same bytes for the same letter. */
function largeFiles(letter: string): Readonly<Record<string, string>> {
  const lines = Array.from({ length: 9 }, (_, file) => `${letter} ${file} ${"0123456789".repeat(50)}\n`.repeat(1500));
  return Object.fromEntries(lines.map((text, file) => [`src/${file % 3}/file-${file}`, text]));
}

/** Times that do not depend on when a test runs, and are long past. */
function age(context: string, files: Iterable<string>): void {
  for (const file of files) utimesSync(join(context, file), 1_600_000_000, 1_600_000_000);
}

function finished(lines: readonly ProgressLine[], type: string, name: RegExp): readonly ProgressLine[] {
  return lines.filter((line) => line.type === type && name.test(line.name ?? ""));
}

function layers(path: string): readonly string[] {
  return new Archive(path).manifest().layers.map(({ digest }) => digest);
}

describe("layers that are packed before their turn", () => {
  test("are packed when files are read for the first time, and are the same as those of their turn", async () => {
    using work = new Workspace();
    const files = largeFiles("a");
    const context = work.context({ ...files, Dockerfile: "FROM busybox\nCOPY --chown=1:2 src /app/src\n" });
    linkSync(join(context, "src/0/file-0"), join(context, "src/2/other-name"));
    age(context, Object.keys(files));
    const build = (store: string, archive: string): Promise<readonly ProgressLine[]> =>
      work.events(["-o", `type=oci,dest=${work.file(archive)}`, context], { env: { VARVE_STORE: work.file(store) } });
    const early = await build("early", "early.tar");
    expect(finished(early, "phase", PACKING)).toHaveLength(2);
    expect(finished(early, "step-finished", /COPY/)).toHaveLength(1);

    writeFileSync(join(context, "src/small"), "small\n");
    age(context, ["src/small"]);
    const later = await build("early", "later.tar");
    expect(finished(later, "phase", PACKING), "little differs").toHaveLength(2);
    expect(finished(later, "step-finished", /COPY/)).toHaveLength(1);
    expect(finished(await build("fresh", "fresh.tar"), "phase", PACKING)).toHaveLength(2);
    expect(layers(work.file("later.tar"))).toEqual(layers(work.file("fresh.tar")));
  });

  test("are found again where a change was taken back, or nothing but times differ", async () => {
    using work = new Workspace();
    const files = largeFiles("a");
    const context = work.context({ ...files, Dockerfile: "FROM busybox\nCOPY src /app/src\n" });
    const file = join(context, "src/1/file-1");
    const before = readFileSync(file);
    const archive = (number: number): readonly string[] => [
      "-o",
      `type=oci,dest=${work.file(`${number}.tar`)}`,
      context,
    ];
    await work.events(archive(1));
    writeFileSync(file, "changed\n");
    expect(finished(await work.events(archive(2)), "step-finished", /COPY/)).toHaveLength(1);

    writeFileSync(file, before);
    expect(finished(await work.events(archive(3)), "step-cached", /COPY/)).toHaveLength(1);
    age(context, Object.keys(files));
    expect(finished(await work.events(archive(4)), "step-cached", /COPY/)).toHaveLength(1);
    for (const number of [3, 4]) expect(layers(work.file(`${number}.tar`))).toEqual(layers(work.file("1.tar")));
  });

  test("are not packed where a record may be found: the same files elsewhere are read, keyed and found", async () => {
    using work = new Workspace();
    const files = largeFiles("a");
    const context = work.context({ ...files, Dockerfile: "FROM busybox\nCOPY src /app/src\n" });
    await work.events([context]);
    cpSync(context, work.file("copy"), { recursive: true });
    const found = await work.events([work.file("copy")]);
    expect(finished(found, "phase", PACKING)).toHaveLength(0);
    expect(finished(found, "step-cached", /COPY/)).toHaveLength(1);

    // Other bytes of the same size: keyed first, then packed in its turn.
    const file = join(work.file("copy"), "src/1/file-1");
    writeFileSync(file, readFileSync(file, "utf8").replaceAll("a", "b"));
    const changed = await work.events([work.file("copy")]);
    expect(finished(changed, "step-finished", /COPY/)).toHaveLength(1);
    const none = await work.events(["--no-cache", context]);
    expect(finished(none, "step-finished", /COPY/)).toHaveLength(1);
  });

  test.each([
    ["leaves the destination alone", "true", "0 755"],
    ["makes the destination another one", "mkdir -m 700 /app && chown 5 /app", "5 700"],
  ])("are packed beside a RUN that %s, and fit what it made", async (_, command, expected) => {
    using work = new Workspace();
    const check = `RUN stat -c '%u %a' /app >/state && test $(ls /app/src/* | grep -c file) = 9\n`;
    const dockerfile = (number: number): string =>
      `FROM busybox\nRUN sleep 2 && : ${number} && ${command}\nCOPY src /app/src\n${check}`;
    const build = async (): Promise<readonly ProgressLine[]> => {
      const events = await work.events(["-o", work.file("out"), context]);
      expect(readFileSync(work.file("out/state"), "utf8").trim()).toBe(expected);
      return events;
    };
    const context = work.context({ ...largeFiles("a"), Dockerfile: dockerfile(1) });
    expectOverlap(await build());

    // The second time most digests are known, and the copy is new all the same.
    writeFileSync(join(context, "src/0/file-0"), "changed\n");
    writeFileSync(join(context, "Dockerfile"), dockerfile(2));
    expectOverlap(await build());
  });
});

function expectOverlap(events: readonly ProgressLine[]): void {
  const packed = events.findIndex(({ type, name }) => type === "phase" && PACKING.test(name ?? ""));
  const ran = events.findIndex(({ type, name }) => type === "step-finished" && /RUN sleep/.test(name ?? ""));
  expect(packed).toBeGreaterThan(0);
  expect(packed).toBeLessThan(ran);
}
