import type { RunMount, RunStep, Step } from "@varve/graph";
import type { FileTree } from "@varve/layer";
import type { Rootfs } from "../rootfs.ts";
import type { BindMount, TmpfsMount } from "../runner.ts";
import type { Session } from "../session.ts";
import { openBindMount } from "./bind-mount.ts";
import { openCacheMount } from "./cache-mount.ts";
import { openSecretMount } from "./secret-mount.ts";
import { openSshMount } from "./ssh-mount.ts";

/** Mounts ready for a runner. Disposal gives locks back and removes what was made for them. */
export interface OpenMounts extends AsyncDisposable {
  readonly mounts: readonly (BindMount | TmpfsMount)[];
  /** `NAME=value` that mounts bring: secrets as variables, the agent's socket. */
  readonly env: readonly string[];
}

/** What opening one mount gives. */
export interface OpenMount {
  readonly mount: BindMount | TmpfsMount | undefined;
  readonly env?: string;
}

/** What the mounts of one step are opened with. */
export interface MountContext {
  readonly session: Session;
  readonly resolve: (step: Step) => Promise<Rootfs>;
  /** The rootfs beneath. */
  readonly tree: FileTree;
  /** Takes what must be undone after the run. */
  readonly stack: AsyncDisposableStack;
  /** How many ssh mounts came before: names the default socket. */
  readonly position: number;
}

/**
 * Opens the mounts of a RUN step, parents before children.
 * @throws StepError `SECRET_MISSING`, `SSH_MISSING` for what is required and was not given.
 */
export async function openMounts(
  step: RunStep,
  context: Omit<MountContext, "stack" | "position">,
): Promise<OpenMounts> {
  const stack = new AsyncDisposableStack();
  const opened: OpenMount[] = [];
  try {
    for (const { mount, position } of lockOrder(step.mounts)) {
      opened.push(await openMount(mount, { ...context, stack, position }));
    }
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
  const mounts = opened.flatMap(({ mount }) => (mount === undefined ? [] : [mount]));
  return {
    mounts: mounts.toSorted((a, b) => depth(a.target) - depth(b.target)),
    env: opened.flatMap(({ env }) => (env === undefined ? [] : [env])),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Caches by their ids first: two steps that lock the same two never wait for each other. */
function lockOrder(mounts: readonly RunMount[]): readonly { readonly mount: RunMount; readonly position: number }[] {
  const idOf = (mount: RunMount): string => (mount.type === "cache" ? mount.id : "\uFFFF");
  const agents = mounts.filter(({ type }) => type === "ssh");
  return mounts
    .map((mount) => ({ mount, position: agents.indexOf(mount) }))
    .toSorted((a, b) => (idOf(a.mount) < idOf(b.mount) ? -1 : Number(idOf(a.mount) > idOf(b.mount))));
}

function depth(target: string): number {
  return target.split("/").filter((name) => name !== "").length;
}

async function openMount(mount: RunMount, context: MountContext): Promise<OpenMount> {
  switch (mount.type) {
    case "bind":
      return openBindMount(mount, context);
    case "cache":
      return openCacheMount(mount, context);
    case "tmpfs":
      return { mount: { type: "tmpfs", target: mount.target, size: mount.size } };
    case "secret":
      return openSecretMount(mount, context);
    case "ssh":
      return openSshMount(mount, context);
    default:
      return mount satisfies never;
  }
}
