import { describe, expect, test } from "vitest";
import { parseChmod } from "../../src/copy/mode.ts";

function apply(text: string, mode: number, directory = false): string {
  const chmod = parseChmod(text);
  return ("octal" in chmod ? chmod.octal : chmod.change(mode, { directory })).toString(8);
}

describe("parseChmod()", () => {
  test.each([
    ["755", 0o600, "755"],
    ["04711", 0o600, "4711"],
    ["u+x", 0o644, "744"],
    ["+x", 0o644, "755"],
    ["go-r,u=rwx", 0o644, "700"],
    ["a=rX", 0o644, "444"],
    ["a=rX", 0o744, "555"],
    ["g=u", 0o750, "770"],
    ["u+s,g+s,+t", 0o755, "7755"],
    ["o=", 0o777, "770"],
    ["u+rw-x", 0o100, "600"],
  ])("%s makes %o into %s", (text, mode, wanted) => {
    expect(apply(text, mode)).toBe(wanted);
  });

  test("gives X to directories", () => {
    expect(apply("u=rwX,go=rX", 0o600, true)).toBe("755");
  });

  test.each(["8", "777777", "u+q", "", "u", "u+x,", "09"])("refuses %j", (text) => {
    expect(() => parseChmod(text)).toThrowError(expect.objectContaining({ code: "COPY_INVALID" }));
  });
});
