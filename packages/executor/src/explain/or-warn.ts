import type { OnBuildEvent } from "../events.ts";

/** What `work` gives; where it fails, undefined and a warning: a build does not fail for want of what it can do without. */
export async function orWarn<T>(
  work: () => Promise<T>,
  { onEvent }: { readonly onEvent: OnBuildEvent },
  consequence = "Steps can't be explained",
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    onEvent({ type: "warning", message: `${consequence}: ${message}` });
    return undefined;
  }
}
