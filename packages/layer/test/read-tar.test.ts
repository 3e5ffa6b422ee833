import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readTar } from "../src/index.ts";
import { chunked, collect, everything, pack, scratch, sh, file } from "./scratch.ts";
import { fc, test as law } from "./laws.ts";

interface Read {
  readonly name: string;
  readonly flag: string;
  readonly size: number;
  readonly text: string;
}

async function readAll(bytes: Uint8Array, length?: number): Promise<Read[]> {
  const all: Read[] = [];
  for await (const { header, body } of readTar(chunked(bytes, length))) {
    const { name, flag, size } = header;
    all.push({ name, flag, size, text: (await collect(body)).toString("latin1") });
  }
  return all;
}

/** An archive that `script` writes as "t" in a directory with a tree. */
function archive(script: string, tree = "mkdir d; echo hello > d/file; ln -s file d/link; ln d/file d/twin"): Buffer {
  const root = scratch();
  sh(root, `mkdir src; cd src; ${tree}`);
  sh(root, script);
  return readFileSync(join(root, "t"));
}

describe("readTar()", () => {
  test.each(["v7", "oldgnu", "gnu", "ustar", "pax"])("reads GNU tar's format %s", async (format) => {
    const read = await readAll(archive(`tar --format=${format} --sort=name -cf t -C src d`));
    expect(read.map(({ name, flag, text }) => [name, flag, text])).toEqual([
      ["d/", "5", ""],
      ["d/file", "0", "hello\n"],
      ["d/link", "2", ""],
      ["d/twin", "1", ""],
    ]);
  });

  test.each(["gnu", "pax"])("reads long names, large ids and times of format %s", async (format) => {
    const long = `${"p".repeat(200)}/${"n".repeat(200)}`;
    const bytes = archive(
      `tar --format=${format} -cf t -C src .`,
      `mkdir ${"p".repeat(200)}; echo x > ${long}; ln -s ${"t/".repeat(100)} l; chown -h 3000000:4000000 l; touch -d @-5 ${long}`,
    );
    const headers = new Map<string, { linkname: string; uid: number; gid: number; mtime: bigint }>();
    for await (const { header } of readTar(chunked(bytes))) headers.set(header.name, header);
    expect(headers.get(`./${long}`)?.mtime).toBe(-5_000_000_000n);
    expect(headers.get("./l")).toMatchObject({ linkname: "t/".repeat(100), uid: 3_000_000, gid: 4_000_000 });
  });

  test.each([
    "--format=gnu -S",
    "--format=pax -S --sparse-version=0.0",
    "--format=pax -S --sparse-version=0.1",
    "--format=pax -S --sparse-version=1.0",
  ])("reads sparse files of tar %s", async (options) => {
    const script = `truncate -s 3M s; for i in $(seq 1 30); do printf part$i | dd of=s bs=1 seek=$((i*65536)) conv=notrunc status=none; done; echo plain > z`;
    const root = scratch();
    sh(root, `mkdir src; cd src; ${script}; cd ..; tar ${options} --sort=name -cf t -C src .`);
    const bytes = readFileSync(join(root, "t"));
    expect(bytes.length).toBeLessThan(1024 ** 2);
    const read = await readAll(bytes, 700);
    expect(read.find(({ name }) => name === "./s")?.text).toBe(readFileSync(join(root, "src/s")).toString("latin1"));
    expect(read.at(-1)).toMatchObject({ name: "./z", text: "plain\n" });
  });

  test("reads what busybox and python write", async () => {
    const wanted = [
      ["d/", "5"],
      ["d/file", "0"],
      ["d/link", "2"],
      ["d/twin", "1"],
    ];
    const busybox = await readAll(archive("busybox tar -cf t -C src d"));
    expect(busybox.map(({ name, flag }) => [name, flag]).sort()).toEqual(wanted);
    for (const format of ["USTAR", "GNU", "PAX"]) {
      const script = `python3 -c "import tarfile;t=tarfile.open('t','w',format=tarfile.${format}_FORMAT);t.add('src/d','d')"`;
      expect(
        (await readAll(archive(script))).map(({ name, flag }) => [name.replace(/^d$/, "d/"), flag]).sort(),
      ).toEqual(wanted);
    }
  });

  test("reads global records and binary attributes", async () => {
    const script = `python3 -c "
import tarfile
t=tarfile.open('t','w',format=tarfile.PAX_FORMAT,pax_headers={'comment':'c','uid':'77'})
t.addfile(tarfile.TarInfo('x'))
i=tarfile.TarInfo('y');i.pax_headers={'uid':'5','SCHILY.xattr.user.a':'v=\\u00e4'};t.addfile(i);t.close()"`;
    const headers: [string, number, unknown][] = [];
    for await (const { header } of readTar(chunked(archive(script))))
      headers.push([header.name, header.uid, header.xattrs]);
    expect(headers[0]).toEqual(["x", 77, undefined]);
    expect(headers[1]).toEqual(["y", 5, { "user.a": Uint8Array.from(Buffer.from("v=ä")) }]);
  });

  law(
    "gives the same whatever the chunks",
    [fc.integer({ min: 1, max: 3000 })],
    async (length) => {
      expect(await readAll(sample, length)).toEqual(await readAll(sample));
    },
    30,
  );

  test("skips what is not read of a body", async () => {
    const names: string[] = [];
    for await (const { header, body } of readTar(chunked(sample, 1000))) {
      names.push(header.name);
      for await (const _ of body) break;
    }
    expect(names).toEqual((await readAll(sample)).map(({ name }) => name));
  });

  test.each<[string, (bytes: Buffer) => Buffer, string]>([
    ["cut within a body", (bytes) => bytes.subarray(0, 5000), "it ends within an entry"],
    ["cut within a header", (bytes) => bytes.subarray(0, 100), "it ends within an entry"],
    ["damaged in a header", (bytes) => Buffer.concat([Buffer.from("X"), bytes.subarray(1)]), "checksum is wrong"],
    ["no tar at all", () => Buffer.alloc(2000, "text"), "archive"],
  ])("refuses an archive that is %s", async (_what, damage, message) => {
    await expect(readAll(damage(sample))).rejects.toThrow(message);
    await expect(readAll(damage(sample))).rejects.toMatchObject({ code: "ARCHIVE_CORRUPT" });
  });

  test("refuses a name that is not UTF-8", async () => {
    const bytes = archive("tar -cf t -C src .", `touch $'latin-\\xe4'`);
    await expect(readAll(bytes)).rejects.toMatchObject({ code: "ENTRY_UNSUPPORTED" });
  });
});

const { blob: sample } = await pack([file("a", "x".repeat(5000)), file(`long/${"n".repeat(250)}`, "y"), file("z", "")]);

test("readTar() reads all that GNU tar stores of a full tree", async () => {
  const read = await readAll(archive("tar --xattrs --format=pax -cf t -C src .", everything));
  const listed = execFileSync("tar", ["-t"], {
    input: archive("tar --format=pax -cf t -C src .", everything),
  }).toString();
  expect(read.length).toBe(listed.trim().split("\n").length);
});
