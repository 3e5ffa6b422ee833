import type { OnBuildEvent } from "@varve/executor";

/** Runs `work`, told as a phase of the build that has this name. */
export async function inPhase<T>(name: string, onEvent: OnBuildEvent, work: () => Promise<T>): Promise<T> {
  onEvent({ type: "phase", name, state: "started", time: Date.now() });
  const result = await work();
  onEvent({ type: "phase", name, state: "finished", time: Date.now() });
  return result;
}
