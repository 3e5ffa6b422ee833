import { orderEntries } from "@varve/layer";
import { type Step, stepDefinition, type WorkdirStep } from "@varve/graph";
import { namesOwner, resolveOwner } from "../copy/owner.ts";
import { makeDirectories, resolveDestination } from "../copy/place.ts";
import { createStagedTree, type StagedTree } from "../copy/staged-tree.ts";
import { createStepKey } from "../keys.ts";
import type { StepWork } from "../resolve.ts";
import type { Rootfs } from "../rootfs.ts";
import { type Session, undatedTime } from "../session.ts";

/** WORKDIR: makes the directory and what is missing above it, for the user that USER set. */
export function createWorkdirWork(
  step: WorkdirStep,
  session: Session,
  resolve: (step: Step) => Promise<Rootfs>,
): StepWork {
  const definition = stepDefinition(step);
  let staged: Promise<StagedTree> | undefined;
  const stage = (): Promise<StagedTree> => (staged ??= stageDirectories(step, session, resolve));
  return {
    cheapParts: async () => ({ definition, inputs: [], parent: step.parent }),
    preciseKey: async () => createStepKey({ definition, inputs: [], parent: (await stage()).viewDigest() }),
    inputs: async () => [],
    async make() {
      const tree = await stage();
      return { entries: () => orderEntries(tree.entries()) };
    },
  };
}

async function stageDirectories(
  step: WorkdirStep,
  session: Session,
  resolve: (step: Step) => Promise<Rootfs>,
): Promise<StagedTree> {
  const rootfs = await resolve(step.parent);
  const base = namesOwner(step.user)
    ? (await session.layers.extractedTree(rootfs)).tree
    : await session.layers.tree(rootfs);
  const tree = createStagedTree(base);
  makeDirectories(tree, resolveDestination(tree, step.path), {
    owner: resolveOwner(step.user, {
      tree: base,
      remember: (question, answer) => tree.remember(question, answer),
    }),
    chmod: undefined,
    createdTime: undatedTime(session.options.epoch),
  });
  return tree;
}
