import { chmod, chown, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RunMount } from "@varve/graph";
import { StepError } from "../errors.ts";
import type { SecretSource } from "../session.ts";
import type { MountContext, OpenMount } from "./open-mounts.ts";

const MAX_SECRET = 500 * 1024;

/**
 * `type=secret`: a file, a variable or both, for this process alone.
 * @throws StepError `SECRET_MISSING` where it is required and was not given.
 */
export async function openSecretMount(
  mount: Extract<RunMount, { type: "secret" }>,
  { session }: MountContext,
): Promise<OpenMount> {
  const source = session.options.secrets.get(mount.id);
  const value = source === undefined ? undefined : await readSecret(mount.id, source);
  if (value === undefined) {
    if (!mount.required) return { mount: undefined };
    throw new StepError(
      "SECRET_MISSING",
      `Cannot mount secret "${mount.id}": secret ${mount.id} not found, and the step requires it`,
      {
        hint: `Give it with --secret id=${mount.id},src=FILE or --secret id=${mount.id},env=NAME`,
      },
    );
  }
  const env = mount.env === undefined ? {} : { env: `${mount.env}=${value.toString("utf8")}` };
  if (mount.target === undefined) return { mount: undefined, ...env };
  const path = join(await session.options.store.makeTemporaryDirectory("tmp"), "secret");
  await writeFile(path, value, { mode: 0o600 });
  await chown(path, mount.uid, mount.gid);
  await chmod(path, mount.mode);
  return { mount: { type: "bind", source: path, target: mount.target, readonly: true }, ...env };
}

/**
 * The bytes of a secret, at most 500 KiB; undefined for a variable that is not set.
 * @throws StepError `SECRET_MISSING` where its file can't be read.
 */
export async function readSecret(id: string, source: SecretSource): Promise<Buffer | undefined> {
  if (source.type === "env") {
    const value = process.env[source.name];
    return value === undefined ? undefined : Buffer.from(value);
  }
  try {
    const value = await readFile(source.path);
    if (value.length <= MAX_SECRET) return value;
  } catch (cause) {
    throw new StepError(
      "SECRET_MISSING",
      `Cannot read secret "${id}" from "${source.path}": ${(cause as NodeJS.ErrnoException).code ?? String(cause)}`,
      { cause },
    );
  }
  throw new StepError("SECRET_MISSING", `Cannot use secret "${id}" from "${source.path}": larger than 500 KiB`);
}
