import type { FileTree } from "@varve/layer";
import { StepError } from "../errors.ts";
import { findGroupId, findUserIds, parseId, splitOwner } from "../users.ts";

/** Numeric owner of copied files. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export interface OwnerLookup {
  /** Where /etc/passwd and /etc/group are looked at; undefined for `--link`, which sees no base. */
  readonly tree: FileTree | undefined;
  /** Is told each name that was looked up, and its id. */
  readonly remember: (question: string, answer: string) => void;
}

const ROOT: Owner = { uid: 0, gid: 0 };

/** True where `--chown` names a user or group that must be looked up. */
export function namesOwner(chown: string): boolean {
  return splitOwner(chown).some((part) => part !== undefined && part !== "" && parseId(part) === undefined);
}

/**
 * The owner that `--chown` asks for: `user[:group]`, names or ids. A name that is not in the image stands for root's
 * ids, as BuildKit has it, and so does nothing before or behind a colon; a user alone brings the group that
 * /etc/passwd gives it, a numeric one its own number.
 * @throws StepError `USER_UNKNOWN` for a name with `--link`.
 */
export function resolveOwner(chown: string, lookup: OwnerLookup): Owner {
  const [userPart, groupPart] = splitOwner(chown);
  const user = userPart === "" ? ROOT : resolveUser(userPart, lookup);
  if (groupPart === undefined) return user;
  if (groupPart === "") return { uid: user.uid, gid: ROOT.gid };
  return { uid: user.uid, gid: resolveGroup(groupPart, lookup) ?? user.gid };
}

function resolveUser(word: string, lookup: OwnerLookup): Owner {
  const id = parseId(word);
  if (id !== undefined) return { uid: id, gid: id };
  const found = findUserIds(word, lookupTree(word, lookup));
  lookup.remember(`user ${word}`, found === undefined ? "absent" : `${found.uid}:${found.gid}`);
  return found === undefined ? ROOT : { uid: found.uid, gid: found.gid };
}

function resolveGroup(word: string, lookup: OwnerLookup): number | undefined {
  const id = parseId(word);
  if (id !== undefined) return id;
  const found = findGroupId(word, lookupTree(word, lookup));
  lookup.remember(`group ${word}`, found === undefined ? "absent" : String(found));
  return found;
}

function lookupTree(word: string, { tree }: OwnerLookup): FileTree {
  if (tree !== undefined) return tree;
  throw new StepError(
    "USER_UNKNOWN",
    `Cannot use --chown "${word}" with --link: names are looked up in the image beneath, which --link does not see`,
    {
      hint: "Use numeric ids, or leave out --link",
    },
  );
}
