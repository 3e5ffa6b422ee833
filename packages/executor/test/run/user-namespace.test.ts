import { expect, test } from "vitest";
import { fitToNamespace, inUserNamespace, userNamespaceCommand } from "../../src/run/user-namespace.ts";
import { COMMAND } from "./command.ts";

test("inUserNamespace() is false for the machine's root", () => {
  expect(inUserNamespace()).toBe(false);
});

test("userNamespaceCommand() gives a command that runs the program with its arguments as root", () => {
  const found = userNamespaceCommand(["id", "-u"]);
  expect(found).toMatchObject({ command: "unshare", args: expect.arrayContaining(["--map-root-user", "--mount"]) });
  expect("args" in found && found.args.slice(-3)).toEqual(["--", "id", "-u"]);
});

test("fitToNamespace() counts the group among the further ones, and takes all ids outside of a user namespace", () => {
  const command = { ...COMMAND, uid: 70_000, gid: 5, additionalGids: [80_000, 5] };
  expect(fitToNamespace(command)).toEqual({ ...command, additionalGids: [5, 80_000] });
});
