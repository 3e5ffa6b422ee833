import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openLayout } from "@varve/oci";
import { busyboxLayout } from "../../tools/base-images.ts";
import { Archive, changeBase, mountsBelow, Workspace } from "./varve.ts";

const LOUD = `FROM busybox AS build
WORKDIR /src
COPY a.txt .
RUN tr a-z A-Z < a.txt > loud
FROM busybox
COPY --from=build /src/loud /loud
CMD ["cat", "/loud"]
`;

describe("varve build", () => {
  test("runs steps once: the second build is all from the cache, and gives the same image", async () => {
    using work = new Workspace();
    const context = work.context({ Dockerfile: LOUD, "a.txt": "quiet\n" });
    const first = await work.build(["-o", `type=oci,dest=${work.file("a.tar")}`, context]);
    expect(first.stderr).toContain("4 steps, 0 cached");
    const second = await work.build(["-o", `type=oci,dest=${work.file("b.tar")}`, context]);
    expect(second.stderr).toContain("4 steps, 4 cached");
    expect(second.stdout).toBe(first.stdout);
    expect(readFileSync(work.file("b.tar")).equals(readFileSync(work.file("a.tar")))).toBe(true);
    expect(mountsBelow(work.path)).toEqual([]);
  });

  test("makes the layers an OCI reader expects: a file, a copy, a whiteout", async () => {
    using work = new Workspace();
    const dockerfile = [
      "FROM scratch",
      "COPY busybox /bin/busybox",
      'SHELL ["/bin/busybox", "sh", "-c"]',
      "RUN /bin/busybox mkdir /work && echo hi > /work/message.txt",
      "COPY content.txt /work/",
      "RUN /bin/busybox rm /work/message.txt",
    ];
    const context = work.context({ Dockerfile: dockerfile.join("\n"), "content.txt": "content\n" });
    cpSync("/bin/busybox", join(context, "busybox"));
    await work.build(["-o", `type=oci,dest=${work.file("seed.tar")}`, context]);
    const archive = new Archive(work.file("seed.tar"));
    expect([1, 2, 3].map((position) => archive.entries(position))).toEqual([
      ["work/", "work/message.txt"],
      ["work/", "work/content.txt"],
      ["work/", "work/.wh.message.txt"],
    ]);
    expect(archive.config().history.map((line) => line.created_by)).toEqual([
      "COPY busybox /bin/busybox # buildkit",
      "SHELL [/bin/busybox sh -c]",
      "RUN /bin/busybox sh -c /bin/busybox mkdir /work && echo hi > /work/message.txt # buildkit",
      "COPY content.txt /work/ # buildkit",
      "RUN /bin/busybox sh -c /bin/busybox rm /work/message.txt # buildkit",
    ]);
  });

  test("gives the same layers from two empty stores, and the same image under SOURCE_DATE_EPOCH", async () => {
    using one = new Workspace();
    using two = new Workspace();
    const Dockerfile = "FROM busybox\nWORKDIR /app\nCOPY . ./src/\nCOPY --chown=app a.txt /b/c/\n";
    const context = one.context({ Dockerfile, "a.txt": "a\n", "d/e.txt": "e\n" });
    const layers = [];
    for (const work of [one, two]) {
      await work.build(["-o", `type=oci,dest=${work.file("x.tar")}`, context]);
      layers.push(new Archive(work.file("x.tar")).manifest().layers);
    }
    expect(layers[1]).toEqual(layers[0]);
    const epoch = { env: { SOURCE_DATE_EPOCH: "1700000000" } };
    for (const work of [one, two])
      await work.build(["--no-cache", "-o", `type=oci,dest=${work.file("y.tar")}`, context], epoch);
    expect(readFileSync(two.file("y.tar")).equals(readFileSync(one.file("y.tar")))).toBe(true);
    expect(new Archive(one.file("y.tar")).config().created).toBe("2023-11-14T22:13:20Z");
  });

  test("builds independent stages at once, and COPY --link beside a RUN", async () => {
    using work = new Workspace();
    const Dockerfile = `FROM busybox AS a
RUN sleep 2 && echo a > /a
FROM busybox AS b
RUN sleep 2 && echo b > /b
FROM busybox
RUN sleep 1
COPY --link a.txt /linked
COPY --from=a /a /a
COPY --from=b /b /b
`;
    const events = await work.events([work.context({ Dockerfile, "a.txt": "a" })]);
    const timeOf = (type: string, name: string): number => {
      const time = events.find((event) => event.type === type && event.name?.includes(name))?.time;
      if (time === undefined) throw new Error(`no ${type} of ${name}`);
      return time;
    };
    const ends = ["echo a", "echo b"].map((name) => timeOf("step-finished", name));
    const starts = ["echo a", "echo b"].map((name) => timeOf("step-started", name));
    expect(Math.max(...ends) - Math.min(...starts)).toBeLessThan(3300);
    expect(timeOf("step-finished", "--link")).toBeLessThan(timeOf("step-finished", "RUN sleep 1"));
  });

  test("keeps COPY --link layers, and plain copies with the same view, when the base changes", async () => {
    using work = new Workspace();
    const Dockerfile = "FROM base\nCOPY --link a.txt /opt/a\nCOPY a.txt /etc/a\nRUN true\n";
    const context = work.context({ Dockerfile, "a.txt": "a\n" });
    const other = work.file("other-base");
    await changeBase(await busyboxLayout(), other);
    const made = async (base: string): Promise<readonly string[]> => {
      const events = await work.events(["--build-context", `base=oci-layout://${base}`, context]);
      return events.flatMap(({ type, name }) =>
        type === "step-finished" && name?.startsWith("[") === true ? [name] : [],
      );
    };
    expect(await made(await busyboxLayout())).toHaveLength(3);
    expect(await made(other)).toEqual(["[4/4] RUN true"]);
  });

  test("lets two steps lock the same two caches in different order, and keeps what they hold", async () => {
    using work = new Workspace();
    const mount = (id: string): string => `--mount=type=cache,id=${id},target=/${id},sharing=locked`;
    const Dockerfile = `FROM busybox AS a
RUN ${mount("x")} ${mount("y")} sleep 0.5 && echo a >> /x/log && echo a > /a
FROM busybox AS b
RUN ${mount("y")} ${mount("x")} sleep 0.5 && echo b >> /x/log && echo b > /b
FROM busybox
COPY --from=a /a /a
COPY --from=b /b /b
RUN ${mount("x")} sort /x/log > /log
`;
    await work.build(["-o", work.file("files"), work.context({ Dockerfile })]);
    expect(readFileSync(join(work.file("files"), "log"), "utf8")).toBe("a\nb\n");
    expect(readdirSync(work.file("files"))).not.toContain("x");
  });

  test("stacks a layer that several steps share", async () => {
    using work = new Workspace();
    const Dockerfile = `FROM busybox
RUN echo a > /x
RUN true
RUN echo b > /x
RUN true # again
RUN true # and again
RUN cat /x > /y
`;
    await work.build(["-o", work.file("files"), work.context({ Dockerfile })]);
    expect(readFileSync(join(work.file("files"), "y"), "utf8")).toBe("b\n");
  });

  test("lets eight builds use one store at once", async () => {
    using work = new Workspace();
    const Dockerfile = "FROM busybox\nARG N\nRUN echo $N > /n\nCOPY . /all/\nRUN echo same > /same\n";
    const context = work.context({ Dockerfile, "a.txt": "a\n" });
    const numbers = Array.from({ length: 8 }, (_, n) => n);
    const outcomes = await Promise.all(
      numbers.map((n) => work.build(["--build-arg", `N=${n}`, "-t", `many:${n}`, context])),
    );
    expect(outcomes.map(({ code }) => code)).toEqual(numbers.map(() => 0));
    const layout = await openLayout(work.store);
    const names = (await layout.list()).map(({ annotations }) => annotations?.["org.opencontainers.image.ref.name"]);
    expect(names.toSorted()).toEqual(numbers.map((n) => `docker.io/library/many:${n}`));
    expect(readdirSync(join(work.store, "tmp"))).toEqual([]);
  });

  test("needs little memory for a file of 2 GiB", async () => {
    using work = new Workspace();
    const context = work.context({ Dockerfile: "FROM busybox\nCOPY big /big\n", big: "" });
    truncateSync(join(context, "big"), 2 * 1024 ** 3);
    let peak = 0;
    let watch: NodeJS.Timeout | undefined;
    await work.build(["--compression=zstd", "-o", `type=oci,dest=${work.file("big.tar")}`, context], {
      onStart(child) {
        watch = setInterval(() => {
          peak = Math.max(peak, peakMemory(child.pid ?? 0));
        }, 50);
      },
    });
    clearInterval(watch);
    expect(peak).toBeGreaterThan(30);
    expect(peak).toBeLessThan(300);
  });

  test("takes a target, labels, build args, an ignore file of its own, and a Dockerfile from standard input", async () => {
    using work = new Workspace();
    const context = work.context({ "a.txt": "a", "b.txt": "b" });
    const stages = "ARG V=1\nFROM busybox AS one\nARG V\nLABEL v=$V\nCOPY . /x/\nFROM busybox AS two\nRUN exit 1\n";
    writeFileSync(work.file("My.Dockerfile"), stages);
    writeFileSync(work.file("My.Dockerfile.dockerignore"), "*\n!b.txt\n");
    const args = [
      "--target",
      "ONE",
      "--build-arg",
      "V=2",
      "--label",
      "who=me",
      "-o",
      `type=oci,dest=${work.file("x.tar")}`,
    ];
    await work.build(["-f", work.file("My.Dockerfile"), ...args, context]);
    const archive = new Archive(work.file("x.tar"));
    expect(archive.entries(-1)).toEqual(["x/", "x/b.txt"]);
    expect(archive.config().config["Labels"]).toEqual({ v: "2", who: "me" });
    const input = "FROM busybox\nENV FROM_STDIN=1\n";
    await work.build(["-f", "-", "-o", `type=oci,dest=${work.file("y.tar")}`, context], { input });
    expect(new Archive(work.file("y.tar")).config().config["Env"]).toContain("FROM_STDIN=1");
  });

  test("writes files, a plain tar, an ID file and metadata", async () => {
    using work = new Workspace();
    const context = work.context({ Dockerfile: "FROM scratch\nCOPY a.txt /d/\n", "a.txt": "a\n" });
    const files = ["-o", work.file("files"), "-o", `type=tar,dest=${work.file("x.tar")}`];
    const notes = ["--iidfile", work.file("iid"), "--metadata-file", work.file("meta.json")];
    const { stdout } = await work.build([...files, ...notes, context]);
    expect(readFileSync(join(work.file("files"), "d", "a.txt"), "utf8")).toBe("a\n");
    mkdirSync(work.file("untar"));
    execFileSync("tar", ["-xf", work.file("x.tar"), "-C", work.file("untar")]);
    expect(readFileSync(join(work.file("untar"), "d", "a.txt"), "utf8")).toBe("a\n");
    expect(readFileSync(work.file("iid"), "utf8")).toBe(stdout.trim());
    const metadata: unknown = JSON.parse(readFileSync(work.file("meta.json"), "utf8"));
    expect(metadata).toMatchObject({ "containerimage.config.digest": stdout.trim() });
  });
});

function peakMemory(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}
