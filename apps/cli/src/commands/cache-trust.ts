import { forgetServerKeys, openLocalStore } from "@varve/cache";
import { parseUrl } from "../cache-words.ts";
import type { Command } from "../command.ts";
import { UsageError } from "../errors.ts";
import { storePath } from "../store-path.ts";

/** `varve cache trust`. */
export const cacheTrustCommand: Command = {
  usage: "[OPTIONS] URL",
  description:
    "Forgets the keys that are remembered of a cache server: those that it shows next are trusted. For a server whose keys were replaced on purpose.",
  flags: [{ name: "store", value: "DIR", description: "The store that remembers" }],
  examples: ["varve cache trust https://cache.example.com"],
  async run(flags) {
    const [url, ...others] = flags.positionals;
    if (url === undefined || others.length > 0)
      throw new UsageError("Cannot trust: wanted the URL of one cache server");
    await using store = await openLocalStore(storePath(flags.value("store")));
    await forgetServerKeys(store.memo, parseUrl(url));
    process.stdout.write(`forgot the keys of ${parseUrl(url)}\n`);
    return 0;
  },
};
