import type { OnBuildEvent } from "../events.ts";

/** What `work` gives; where it fails, undefined and a warning: a build does not fail for want of an explanation. */
export async function orWarn<T>(
  work: () => Promise<T>,
  { onEvent }: { readonly onEvent: OnBuildEvent },
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    onEvent({ type: "warning", message: `Steps can't be explained: ${message}` });
    return undefined;
  }
}
