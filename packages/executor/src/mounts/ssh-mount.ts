import { chmod, chown } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import type { RunMount } from "@varve/graph";
import { StepError } from "../errors.ts";
import type { MountContext, OpenMount } from "./open-mounts.ts";

/**
 * `type=ssh`: a socket that passes on to the agent on this machine, with the owner and mode that were asked for.
 * @throws StepError `SSH_MISSING` where it is required and was not given.
 */
export async function openSshMount(
  mount: Extract<RunMount, { type: "ssh" }>,
  { session, stack, position }: MountContext,
): Promise<OpenMount> {
  const agent = session.options.ssh.get(mount.id);
  if (agent === undefined) {
    if (!mount.required) return { mount: undefined };
    throw new StepError(
      "SSH_MISSING",
      `Cannot mount ssh agent "${mount.id}": none was given, and the step requires it`,
      {
        hint: "Start an agent and pass it on with --ssh default",
      },
    );
  }
  const path = join(await session.options.store.makeTemporaryDirectory("tmp"), "agent");
  stack.use(await forward(path, agent));
  await chown(path, mount.uid, mount.gid);
  await chmod(path, mount.mode);
  const target = mount.target ?? `/run/buildkit/ssh_agent.${position}`;
  // The first one is the process' agent.
  const env = position === 0 ? { env: `SSH_AUTH_SOCK=${target}` } : {};
  return { mount: { type: "bind", source: path, target, readonly: false }, ...env };
}

/** Listens at `path` and joins each connection to one at `agent`. */
async function forward(path: string, agent: string): Promise<AsyncDisposable> {
  const open = new Set<Socket>();
  const server: Server = createServer((client) => {
    const upstream = connect(agent);
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on("close", () => open.delete(socket));
      socket.on("error", () => {
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream).pipe(client);
  });
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(path, resolve));
  return {
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
