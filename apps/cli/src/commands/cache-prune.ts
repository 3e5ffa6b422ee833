import { type Evicted, openLocalStore } from "@varve/cache";
import { parseBytes } from "../build-settings.ts";
import type { Command } from "../command.ts";
import { dockerSize } from "../docker-words.ts";
import { UsageError } from "../errors.ts";
import type { Parsed } from "../flags.ts";
import { STORE_FLAG } from "../image-flags.ts";
import { pinnedLayers } from "../store-budget.ts";
import { storePath } from "../store-path.ts";

/** `varve cache prune`. */
export const cachePruneCommand: Command = {
  usage: "[OPTIONS]",
  description:
    "Frees disk space: what was not used for the longest time goes first. Images with a name stay whole, and so does what running builds may need. Without a limit all goes that may.",
  flags: [
    STORE_FLAG,
    { name: "all", short: "a", description: "Images with a name may go, too" },
    { name: "max-used-space", value: "BYTES", description: "Stop where the store takes no more, such as 10GB" },
    { name: "keep-storage", value: "BYTES", description: "The same, as older versions of buildx have it" },
    {
      name: "filter",
      value: "until=DURATION",
      list: true,
      description: "Only what was not used for so long, such as until=24h",
    },
    { name: "force", short: "f", description: "Accepted: nothing is asked" },
    { name: "verbose", hidden: true, description: "Accepted" },
  ],
  examples: [
    "varve cache prune --max-used-space 20GB",
    "varve cache prune --filter until=168h",
    "varve cache prune --all",
  ],
  // Directories of an ordinary user's extracted layers belong to other users.
  entersNamespace: true,
  async run(flags, signal) {
    const [extra] = flags.positionals;
    if (extra !== undefined) throw new UsageError(`Cannot run cache prune: "${extra}" is one word too many`);
    const limit = flags.value("max-used-space") ?? flags.value("keep-storage");
    const maxUsedSpace = limit === undefined ? undefined : parseBytes(limit);
    const unusedSince = parseUntil(flags);
    await using store = await openLocalStore(storePath(flags.value("store")));
    const images = flags.is("all") ? "evict" : "keep";
    const pinned = await pinnedLayers(store);
    report(await store.evict({ maxUsedSpace, unusedSince, images, pinned, signal }));
    return 0;
  },
};

/** `until=24h`, or a time in RFC 3339: milliseconds since 1970. */
function parseUntil(flags: Parsed): number | undefined {
  const times = flags.list("filter").map((text) => {
    const [, until] = /^(?:until|unused-for)=(.+)$/.exec(text) ?? [];
    if (until === undefined) throw new UsageError(`Cannot use --filter "${text}": wanted until=DURATION`);
    const date = /^\d{4}-/.test(until) ? Date.parse(until) : Date.now() - parseDuration(until);
    if (Number.isNaN(date))
      throw new UsageError(`Cannot use --filter "${text}": wanted a duration such as 24h, or a time`);
    return date;
  });
  return times.length === 0 ? undefined : Math.min(...times);
}

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `1h30m` in milliseconds; NaN for what is none. */
function parseDuration(text: string): number {
  if (!/^(?:\d+(?:\.\d+)?[smhd])+$/.test(text)) return Number.NaN;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)([smhd])/g)];
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * (UNITS[unit ?? ""] ?? 0), 0);
}

function report({ items, bytes, remaining }: Evicted): void {
  process.stdout.write(`Total reclaimed space: ${dockerSize(bytes)}\n`);
  process.stderr.write(
    `${items} ${items === 1 ? "item" : "items"} removed; the store takes ${dockerSize(remaining)} now\n`,
  );
}
