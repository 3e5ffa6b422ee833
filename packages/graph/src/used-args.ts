import type { Location } from "@varve/dockerfile";

/** A build arg that the target, or a stage that it needs, declares or uses. */
export interface UsedArg {
  readonly name: string;
  /** What it is in this build; undefined: not set. */
  readonly value: string | undefined;
  /** Of its declaration. */
  readonly location: Location;
}

/** An arg before the first FROM, and the names that its default uses. */
export interface GlobalArg extends UsedArg {
  readonly uses: ReadonlySet<string>;
}

/** Takes what stages say of args while they are gone through. */
export interface ArgRecorder {
  /** A stage declares it, with a value of its own. Of several stages the last one counts: the target comes last. */
  declare(arg: UsedArg): void;
  /** A stage uses the global arg of that name, if there is one. */
  use(name: string): void;
  /** In the order of lines. */
  list(): readonly UsedArg[];
}

/** A recorder that knows the global args by name. */
export function createArgRecorder(globals: ReadonlyMap<string, GlobalArg>): ArgRecorder {
  const found = new Map<string, UsedArg>();
  const seen = new Set<string>();
  const use = (name: string): void => {
    // A list of names to do, not recursion: defaults may use each other in chains of any length.
    const pending = [name];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const global = globals.get(next);
      if (global === undefined || seen.has(next)) continue;
      seen.add(next);
      if (!found.has(next)) found.set(next, { name: next, value: global.value, location: global.location });
      pending.push(...global.uses);
    }
  };
  return {
    declare: (arg) => void found.set(arg.name, arg),
    use,
    list: () => [...found.values()].toSorted((a, b) => a.location.line - b.location.line),
  };
}
