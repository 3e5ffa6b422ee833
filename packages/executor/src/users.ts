import { readTreeFile } from "./tree-file.ts";
import type { FileTree } from "@varve/layer";
import { StepError } from "./errors.ts";

/** Numeric ids of a user in a rootfs. */
export interface User {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  /** From /etc/passwd; "/" where it does not say. */
  readonly home: string;
}

interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

interface Group {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

const MAX_ID = 0xffff_fffe;

/**
 * Looks `spec` up in /etc/passwd and /etc/group of `tree`: `user`, `uid`, `user:group`, in names or ids; "" is root.
 * @throws StepError `USER_UNKNOWN` for a name that is not there.
 */
export function lookupUser(spec: string, tree: FileTree): User {
  const [userPart, groupPart] = splitOwner(spec);
  const account = findAccount(userPart === "" ? "0" : userPart, tree);
  const groups = readGroups(tree);
  const gid = groupPart === undefined || groupPart === "" ? account.gid : findGroup(groupPart, groups);
  const explicit = groupPart !== undefined && groupPart !== "";
  const additional = explicit
    ? []
    : groups.filter((group) => group.members.includes(account.name)).map((group) => group.gid);
  return {
    uid: account.uid,
    gid,
    additionalGids: [...new Set(additional)].filter((id) => id !== gid),
    home: account.home,
  };
}

/** The two halves of `user:group`; the second undefined where there is no colon. */
export function splitOwner(spec: string): readonly [string, string | undefined] {
  const colon = spec.indexOf(":");
  return colon < 0 ? [spec, undefined] : [spec.slice(0, colon), spec.slice(colon + 1)];
}

/** `text` as a numeric id, or undefined where it is a name. */
export function parseId(text: string): number | undefined {
  if (!/^\d+$/.test(text)) return undefined;
  const id = Number(text);
  return id <= MAX_ID ? id : undefined;
}

/** The uid and the main gid of user `name`, or undefined. */
export function findUserIds(name: string, tree: FileTree): { readonly uid: number; readonly gid: number } | undefined {
  return readAccounts(tree).find((account) => account.name === name);
}

/** The gid of group `name`, or undefined. */
export function findGroupId(name: string, tree: FileTree): number | undefined {
  return readGroups(tree).find((group) => group.name === name)?.gid;
}

function findAccount(word: string, tree: FileTree): Account {
  const accounts = readAccounts(tree);
  const id = parseId(word);
  const found =
    id === undefined
      ? accounts.find((account) => account.name === word)
      : accounts.find((account) => account.uid === id);
  if (found !== undefined) return found;
  if (id !== undefined) return { name: "", uid: id, gid: 0, home: "/" };
  throw new StepError("USER_UNKNOWN", `Cannot run as user "${word}": /etc/passwd of the image has no such user`, {
    hint: "Create the user in an earlier RUN step, or use a numeric id",
  });
}

function findGroup(word: string, groups: readonly Group[]): number {
  const id = parseId(word);
  if (id !== undefined) return id;
  const found = groups.find((group) => group.name === word);
  if (found !== undefined) return found.gid;
  throw new StepError("USER_UNKNOWN", `Cannot run as group "${word}": /etc/group of the image has no such group`, {
    hint: "Create the group in an earlier RUN step, or use a numeric id",
  });
}

function readAccounts(tree: FileTree): Account[] {
  return records(tree, "etc/passwd").flatMap(([name, , uid, gid, , home]) => {
    const ids = [parseId(uid ?? ""), parseId(gid ?? "")] as const;
    if (name === undefined || ids[0] === undefined || ids[1] === undefined) return [];
    return [{ name, uid: ids[0], gid: ids[1], home: home === undefined || home === "" ? "/" : home }];
  });
}

function readGroups(tree: FileTree): Group[] {
  return records(tree, "etc/group").flatMap(([name, , gid, members]) => {
    const id = parseId(gid ?? "");
    if (name === undefined || id === undefined) return [];
    return [{ name, gid: id, members: (members ?? "").split(",").filter((member) => member !== "") }];
  });
}

function records(tree: FileTree, path: string): string[][] {
  const text = readTreeFile(tree, path)?.toString("utf8") ?? "";
  return text.split("\n").map((line) => line.trim().split(":"));
}
