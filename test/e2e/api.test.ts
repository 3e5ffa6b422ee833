import { expect, test } from "vitest";
import { build, type BuildEvent, type BuildOptions } from "varve";
import { busyboxLayout } from "../../tools/base-images.ts";
import { Archive, mountsBelow, Workspace } from "./varve.ts";

/** Options that every build of these tests has. */
async function common(work: Workspace): Promise<BuildOptions> {
  return { store: work.store, buildContext: { busybox: `oci-layout://${await busyboxLayout()}` } };
}

test("build() gives the image's digests and places, and tells its steps", async () => {
  using work = new Workspace();
  const dockerfile = "FROM busybox\nARG WORD\nRUN echo $WORD > /word && echo said $WORD\n";
  const context = work.context({ Dockerfile: dockerfile });
  const events: BuildEvent[] = [];
  const archive = work.file("app.tar");
  const options: BuildOptions = {
    ...(await common(work)),
    context,
    tag: ["app:1", "registry.example.com/team/app"],
    buildArg: { WORD: "hello" },
    label: { a: "b" },
    output: `type=oci,dest=${archive}`,
    onEvent: (event) => events.push(event),
  };
  const first = await build(options);
  expect(first).toMatchObject({
    id: new Archive(archive).manifest().config.digest,
    digest: first.descriptor.digest,
    names: ["docker.io/library/app:1", "registry.example.com/team/app:latest"],
    places: [`archive ${archive}`],
    steps: 1,
    ran: 1,
    cached: 0,
  });
  expect(new Archive(archive).config().config["Labels"]).toEqual({ a: "b" });
  const output = events.flatMap((event) => (event.type === "step-output" ? [event.text] : []));
  expect(output.join("")).toBe("said hello\n");
  expect(events).toContainEqual(expect.objectContaining({ type: "step-finished", line: 3 }));
  const second = await build(options);
  expect(second).toMatchObject({ id: first.id, ran: 0, cached: 1 });
});

test("build() throws what the command line would say, with code, step and line", async () => {
  using work = new Workspace();
  const context = work.context({ Dockerfile: "FROM busybox\nRUN exit 3\n" });
  await expect(build({ ...(await common(work)), context })).rejects.toMatchObject({
    name: "BuildError",
    code: "COMMAND_FAILED",
    message: expect.stringContaining("exit code: 3"),
    step: "[2/2] RUN exit 3",
    line: 2,
  });
});

test.each<[object, string, string]>([
  [{ tags: "a" }, "USAGE", 'Cannot use option "tags": there is none of that name'],
  [{ context: "-" }, "USAGE", "Cannot build: build() reads and writes no standard streams"],
  [{ output: "type=tar" }, "USAGE", "Cannot build: build() reads and writes no standard streams"],
  [{ output: "type=nothing" }, "USAGE", 'type "nothing" is unknown'],
  [{ file: "no/such/Dockerfile" }, "DOCKERFILE_MISSING", "no/such/Dockerfile"],
  [{ signal: AbortSignal.abort() }, "CANCELLED", "it was cancelled"],
])("build(%j) throws %s", async (options, code, message) => {
  await expect(build(options)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
});

test("build() is ended by its signal, and leaves nothing behind", async () => {
  using work = new Workspace();
  const context = work.context({ Dockerfile: "FROM busybox\nRUN echo started && sleep 100\n" });
  const controller = new AbortController();
  const onEvent = ({ type }: BuildEvent): void => {
    if (type === "step-output") controller.abort();
  };
  const going = build({ ...(await common(work)), context, signal: controller.signal, onEvent });
  await expect(going).rejects.toMatchObject({ code: "CANCELLED" });
  expect(mountsBelow(work.path)).toEqual([]);
});

test("build() throws what onEvent throws, once the build has ended", async () => {
  using work = new Workspace();
  const context = work.context({ Dockerfile: "FROM busybox\nRUN sleep 100\n" });
  const onEvent = ({ type }: BuildEvent): void => {
    if (type === "step-started") throw new Error("seen");
  };
  await expect(build({ ...(await common(work)), context, onEvent })).rejects.toThrow("seen");
  expect(mountsBelow(work.path)).toEqual([]);
});
